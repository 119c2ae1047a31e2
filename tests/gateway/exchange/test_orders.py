"""Callback, invoke, client and clock in every order: one terminal state, and never a false end."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

from gateway.exchange import breaker
from gateway.exchange.states import State
from gateway.invoke.base import InvokeOutcomeUnknown
from gateway.timing import Timing
from tests.gateway.exchange.in_memory import (
    BODY,
    TAIL,
    MemoryGateway,
    Wire,
    bad_end,
    data,
    good_end,
    head,
    reset,
)
from tests.gateway.steering import SteeredLoop, pass_time
from tests.settling import settle
from tests.simulation.client import ResponseParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.gateway.exchange.in_memory import Function

TIMING = Timing(attach_timeout=100.0, resume_grace=100.0)
ROUTE_TIMEOUT = 500.0
LONG = 1000.0
"""Seconds in which every timer is over."""


class Step(Enum):
    """What can happen to an exchange from outside."""

    ATTACH = "attach"
    CUT = "cut"
    END = "END"
    BAD_END = "END with a wrong CRC"
    RESET = "RESET"
    ERROR = "FunctionError"
    WHOLE = "receipt with all of it"
    RECEIPT_RESET = "receipt reset"
    LOST = "receipt lost"
    ANSWER = "ordinary answer"
    UNKNOWN = "invoke unknown"
    GONE = "client gone"
    TIME = "every timer expires"


OUTCOMES = frozenset(
    {Step.ERROR, Step.WHOLE, Step.RECEIPT_RESET, Step.LOST, Step.ANSWER, Step.UNKNOWN}
)
"""How the invoke leg ends, which it does once."""

ON_A_CONNECTION = frozenset({Step.CUT, Step.END, Step.BAD_END, Step.RESET})
BODIES = {Step.END: BODY, Step.WHOLE: BODY + TAIL, Step.ANSWER: b"ordinary"}
FAILURES = frozenset({Step.BAD_END, Step.RESET, Step.ERROR, Step.RECEIPT_RESET, Step.LOST})


class Begun(Enum):
    """How far the exchange is when the steps begin."""

    INVOKED = "invoked"
    ATTACHED = "attached"
    HEADED = "head and first bytes sent"


def orders(length: int) -> Iterator[tuple[Step, ...]]:
    """Every order of so many different steps in which the invoke leg ends once at most."""
    for steps in itertools.permutations(Step, length):
        if len(OUTCOMES.intersection(steps)) <= 1:
            yield steps


def take(step: Step, function: Function, wire: Wire) -> None:
    """Let one thing happen, other than the passing of time."""
    if step in RESULTS:
        function.returns(*RESULTS[step](function))
    elif step in FRAMES:
        function.send(*FRAMES[step])
    elif step is Step.UNKNOWN:
        function.outcome.set_exception(InvokeOutcomeUnknown("the network failed"))
    elif step is Step.ATTACH:
        function.attach()
    elif step is Step.CUT:
        function.cut()
    else:
        assert step is Step.GONE
        wire.close()


FRAMES = {
    Step.END: (head, data, good_end),
    Step.BAD_END: (head, data, bad_end),
    Step.RESET: (reset,),
}
RESULTS: dict[Step, Callable[[Function], tuple[Any, ...]]] = {
    Step.ERROR: lambda _: ({"errorType": "Runtime.ExitError"}, "Unhandled"),
    Step.WHOLE: lambda function: (function.whole_receipt(),),
    Step.RECEIPT_RESET: lambda function: (function.receipt("reset", code=1),),
    Step.LOST: lambda function: (function.receipt("lost"),),
    Step.ANSWER: lambda _: ({"statusCode": 200, "body": "ordinary"},),
}


@dataclass(frozen=True)
class Ending:
    """How an exchange ends, for the gateway and for its client.

    Attributes:
        state: of the exchange.
        status: that the client got.
        body: of a 200, as far as it came; errors have bodies of their own.
        clean: whether the client saw a clean end.
    """

    state: State
    status: int | None
    body: bytes
    clean: bool


def expect(begun: Begun, steps: tuple[Step, ...]) -> Ending:
    """What must come of it, by the rules of the design, once more and by hand."""
    bound = attached = begun is not Begun.INVOKED
    for step in steps:
        if step in ON_A_CONNECTION and not bound:
            continue
        if step is Step.ATTACH:
            bound = attached = True
        elif step is Step.CUT:
            bound = False
        elif step is Step.GONE:
            return broken(begun, State.CANCELLED, None)
        elif step is Step.TIME:
            break
        elif step in FAILURES or (step is Step.ANSWER and begun is Begun.HEADED):
            return broken(begun, State.FAILED, 502)
        elif step in BODIES:
            return Ending(State.COMPLETED, 200, BODIES[step], clean=True)
    lost = attached and not bound  # and did not come back
    return broken(begun, State.FAILED, 502 if lost else 504)


def any_of(begun: Begun, steps: tuple[Step, ...]) -> set[Ending]:
    """What may come of steps in one turn of the loop, which may be taken in another order."""
    allowed = {expect(begun, order) for order in itertools.permutations(steps)}
    if Step.GONE in steps:
        allowed.add(broken(begun, State.FAILED, None))  # it failed, and nobody was there to be told
    return allowed


def broken(begun: Begun, state: State, status: int | None) -> Ending:
    if begun is Begun.HEADED:
        return Ending(state, 200, BODY, clean=False)
    return Ending(state, status, b"", clean=status is not None)


def outcome(gateway: MemoryGateway, wire: Wire) -> Ending:
    parser = ResponseParser(bodiless=False)
    parser.feed(bytes(wire.received))
    seen = parser.seen
    body = bytes(seen.body) if seen.status == 200 else b""
    return Ending(gateway.last.state, seen.status, body, parser.done)


async def run(
    begun: Begun, steps: tuple[Step, ...], gateway: MemoryGateway, *, apart: bool
) -> Wire:
    """Let the steps happen, each when the last has had its consequences, or all in one turn."""
    wire, function = await gateway.ask(), gateway.function
    if begun is not Begun.INVOKED:
        function.attach()
    if begun is Begun.HEADED:
        function.send(head, data)
    await settle()
    for step in steps:
        if step is Step.TIME:
            await pass_time(LONG)
        else:
            take(step, function, wire)
        if apart:
            await settle()
    await settle()
    await pass_time(LONG)
    if not function.outcome.done():
        function.outcome.set_exception(InvokeOutcomeUnknown("it never came"))
    await settle()
    return wire


def every_order(begun: Begun, length: int, *, apart: bool, **route: Any) -> int:
    """Run them all on one gateway, which serves one exchange at a time; how many there were."""

    async def all_of_them() -> int:
        gateway, all_orders = (
            MemoryGateway(TIMING, timeout=ROUTE_TIMEOUT, **route),
            list(orders(length)),
        )
        for steps in all_orders:
            wire = await run(begun, steps, gateway, apart=apart)
            allowed = {expect(begun, steps)} if apart else any_of(begun, steps)
            assert outcome(gateway, wire) in allowed, (begun, steps)
            wire.close()
            await settle()
        assert len(gateway.store) == 0
        outcomes = gateway.telemetry.route("/").outcomes
        assert sum(outcomes.values()) == len(all_orders), "each ends once"
        await gateway.close()
        return len(all_orders)

    with asyncio.Runner(loop_factory=SteeredLoop) as runner:
        return runner.run(all_of_them())


@pytest.mark.fault(9, 38, 39, 43)
@pytest.mark.parametrize("begun", Begun)
@pytest.mark.parametrize("apart", [True, False], ids=["one after the other", "in one turn"])
def test_in_every_order(begun: Begun, apart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "IN_VAIN_MAX", math.inf)  # each exchange is for itself here
    assert every_order(begun, 3, apart=apart) > 500


@pytest.mark.parametrize("begun", Begun)
def test_in_every_order_where_the_function_goes_on_without_its_client(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the client, and for who counts, nothing is different; and every exchange still ends."""
    monkeypatch.setattr(breaker, "IN_VAIN_MAX", math.inf)
    assert every_order(begun, 3, apart=True, on_disconnect="continue") > 500
