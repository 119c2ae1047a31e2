"""The invoke leg of one exchange: calls the function, at most once, and tells what came of it.

The leg outlives the response: once the client has everything the call is still pending, and it holds
its place at the gate until it ends.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from random import uniform
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from gateway.errors import FunctionUnreachable, GatewayError, InvokeNotSent, NotInvoked
from gateway.exchange.invocation import (
    CONFIRMED,
    Outcome,
    confirms,
    outcome_of_failure,
    read_outcome,
)
from gateway.invoke.base import InvokeOutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.exchange.breaker import Trial
    from gateway.exchange.exchange import Exchange
    from gateway.exchange.lane import Lane
    from gateway.exchange.run import ExchangeRun
    from gateway.invoke.base import Invoker, InvokeResult

T = TypeVar("T")

log = logging.getLogger("dialback.exchange")

RETRIES = 2
"""Further tries of a call that provably did not take place. What two short pauses do not mend is no
hiccup: then the client, who is told when, comes back better than we wait."""


class InvokeLeg:
    """One call, from the moment that its place at the gate is taken.

    No task of its own waits for it: it goes on when what it waits for is done.

    Args:
        exchange: which it is about.
        run: told the outcome.
        lane: of the route; its gate is left when the call has ended.
        trial: told what the outcome says about the way to the function.
        invoker: calls.
        on_end: called when the call has ended.
    """

    def __init__(
        self,
        exchange: Exchange,
        run: ExchangeRun,
        lane: Lane,
        trial: Trial,
        invoker: Invoker,
        on_end: Callable[[InvokeLeg], None],
    ) -> None:
        self._exchange = exchange
        self._run = run
        self._lane = lane
        self._trial = trial
        self._invoker = invoker
        self._begun = monotonic()
        self._attempt = 0
        self._awaited: asyncio.Future[Any] | None = None
        self._on_end = on_end

    def call(self) -> None:
        """Call the function, and call again as long as it provably did not run."""
        self._exchange.calls += 1
        assert self._run.invocation is not None  # noqa: S101 - else it would have run
        try:
            call = self._invoker.invoke(self._run.invocation)
        except Exception as error:  # noqa: BLE001 - a bug of the invoker is one however it shows
            call = asyncio.get_running_loop().create_future()
            call.set_exception(error)
        self._go_on_after(call, self._called)

    def cancel(self) -> None:
        """Give up: nobody is told an outcome any more."""
        if self._awaited is not None:
            self._awaited.cancel()

    def _go_on_after(self, what: Awaitable[T], go_on: Callable[[asyncio.Future[T]], None]) -> None:
        awaited = what if isinstance(what, asyncio.Future) else asyncio.ensure_future(what)
        awaited.add_done_callback(go_on)
        self._awaited = awaited

    def _called(self, call: asyncio.Future[InvokeResult]) -> None:
        refusal = None if call.cancelled() else call.exception()
        if isinstance(refusal, NotInvoked) and self._attempt < RETRIES:
            pause = self._run.over.within(self._pause(self._attempt))
            self._attempt += 1
            self._go_on_after(pause, partial(self._paused, refusal))
        else:
            self._end(call, self._outcome)

    def _paused(self, refusal: NotInvoked, pause: asyncio.Future[bool]) -> None:
        invocation = self._run.invocation
        if pause.cancelled() or pause.result() or invocation is None:
            self._end(pause, lambda _: Outcome(failure=refusal))
            return
        self._lane.telemetry.invokes[refusal.reason] += 1
        left = invocation.timeout - (monotonic() - self._begun)
        self._run.invocation = replace(invocation, timeout=max(left, 0.0))
        self.call()

    def _end(
        self, awaited: asyncio.Future[T], outcome_of: Callable[[asyncio.Future[T]], Outcome]
    ) -> None:
        self._awaited = None
        try:
            if not awaited.cancelled():
                outcome = outcome_of(awaited)
                self._lane.telemetry.invokes[outcome.name] += 1
                self._run.take_outcome(outcome)
        finally:
            self._lane.gate.leave()
            ignored = self._run.leg_ended()
            if ignored > self._lane.timing.cancel_grace:
                self._lane.telemetry.cancel_ignored_seconds += ignored
            self._exchange.function_returned()
            self._on_end(self)

    def _outcome(self, call: asyncio.Future[InvokeResult]) -> Outcome:
        error = call.exception()
        if error is not None:
            return self._failed(error)
        result = call.result()
        self._exchange.request_id = result.request_id
        if self._run.journal.ended and confirms(result):
            return CONFIRMED  # its callback has told the breaker
        outcome = read_outcome(result, self._lane.route.payload)
        self._judge(outcome)
        return outcome

    def _failed(self, error: BaseException) -> Outcome:
        if isinstance(error, FunctionUnreachable | InvokeNotSent):
            self._trial.in_vain(monotonic())
        elif not isinstance(error, GatewayError | InvokeOutcomeUnknown):
            label = self._lane.route.label
            log.error("the invoker of route %s failed", label, exc_info=error)
        return outcome_of_failure(error)

    def _pause(self, attempt: int) -> float:
        """Full jitter: whoever was refused together does not come back together."""
        return uniform(0.0, self._lane.timing.retry_pause * 2**attempt)  # noqa: S311 - no secret

    def _judge(self, outcome: Outcome) -> None:
        """Tell the breaker what the return of the function proves."""
        receipt = outcome.receipt
        if outcome.answer is not None:
            self._trial.answered()
        elif isinstance(outcome.failure, FunctionUnreachable):
            self._trial.in_vain(monotonic())
        elif receipt is None:
            self._trial.ran()
        elif receipt.dial is not None and receipt.tail is None:
            self._trial.in_vain(monotonic())
        else:
            self._trial.reached()
