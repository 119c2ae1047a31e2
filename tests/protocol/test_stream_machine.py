"""Whatever both ends, the client, the network and the clock do, in any order: the invariants hold.

`DIALBACK_EXAMPLES` makes the run longer (`make model` does).
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from protocol.codec import decode, encode
from protocol.errors import CancelCode, ResetCode
from protocol.frames import Attach, Data, End
from protocol.function_stream import FunctionState
from tests.protocol import invariants
from tests.protocol.exchanges import WINDOW, Copy
from tests.protocol.invariants import History
from tests.protocol.world import World

if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

EXAMPLES = int(os.environ.get("DIALBACK_EXAMPLES", "400"))
STEPS = 80
MOST_EXCHANGES, MOST_WIRES = 3, 10

which = st.integers(0, 30)
few = st.integers(1, 4)
size = st.integers(1, 64)

#: Rare things share a rule, so that most exchanges come far.
ENDINGS = (
    "client_leaves",
    "function_resets",
    "function_gives_up",
    "function_answers_inline",
    "function_cannot_dial",
)
INTRUSIONS = ("another_copy_runs", "attach_is_replayed", "attach_is_forged", "a_byte_is_falsified")


def thawed(machine: StreamMachine) -> bool:
    return not machine.world.frozen


def pick(things: list[T], number: int) -> list[T]:
    """One of them, or none where there are none."""
    return [things[number % len(things)]] if things else []


class StreamMachine(RuleBasedStateMachine):
    """Rules are what may happen; after each of them every invariant is held against the world."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.history = History()
        self.attaches: list[bytes] = []

    @initialize(upload=st.booleans(), attached=st.booleans())
    def begin(self, upload: bool, attached: bool) -> None:
        exchange = self.world.open(upload=upload, inv=1)
        if attached:
            self._attach(exchange.main, 0, fresh=True)
            self.world.move()

    # ------------------------------------------------------------------ exchanges

    @precondition(lambda self: len(self.world.exchanges) < MOST_EXCHANGES)
    @rule(upload=st.booleans(), inv=st.integers(1, 2))
    def another_exchange(self, upload: bool, inv: int) -> None:
        self.world.open(upload=upload, inv=inv)

    @rule(number=which, taken=size, uploaded=size)
    def client_acts(self, number: int, taken: int, uploaded: int) -> None:
        for exchange in pick(self.world.exchanges, number):
            exchange.client_takes(taken)
            exchange.client_uploads(uploaded)

    def _client_leaves(self, number: int, _: int) -> None:
        for exchange in pick(self.world.exchanges, number):
            if exchange.outcome is None:
                exchange.excuses.add("cancelled")
            exchange.gateway.cancel(CancelCode.CLIENT_GONE, "gone")

    @rule(what=st.sampled_from(["grows", "buries", "hears_of_the_receipt"]), number=which)
    def gateway_acts(self, what: str, number: int) -> None:
        for exchange in pick(self.world.exchanges, number):
            taken = exchange.consumed == len(exchange.received)
            if what == "grows":
                exchange.gateway.grow(2 * WINDOW)
            elif what == "buries" and exchange.outcome and taken:
                exchange.bury()
            elif exchange.main.receipt and not exchange.receipt_taken:
                exchange.take_receipt()

    # ------------------------------------------------------------------ functions

    def _alive(self, number: int) -> list[Copy]:
        return pick([copy for copy in self.world.copies if copy.alive], number)

    @precondition(thawed)
    @rule(number=which, size=size, reads=st.booleans())
    def function_acts(self, number: int, size: int, reads: bool) -> None:
        for copy in self._alive(number):
            copy.write(size)
            if reads:
                copy.take_upload()

    @precondition(thawed)
    @rule(number=which, ends=st.booleans())
    def function_starts_or_ends(self, number: int, ends: bool) -> None:
        for copy in self._alive(number):
            copy.start()
            if ends:
                copy.end()
                copy.ended_early = True

    @precondition(thawed)
    @rule(number=which, silently=st.booleans())
    def function_parts(self, number: int, silently: bool) -> None:
        for copy in self._alive(number):
            if copy.written or copy.stream.started:
                copy.end()
                copy.ended_early, copy.parts = True, silently

    def _function_resets(self, number: int, _: int) -> None:
        for copy in self._alive(number):
            if copy.stream.state is not FunctionState.DONE:
                copy.exchange.excuses.add("reset")
            copy.stream.reset(ResetCode.HANDLER_ERROR, "raised")

    def _function_gives_up(self, number: int, _: int) -> None:
        for copy in self._alive(number):
            if not copy.stream.ended:
                copy.exchange.excuses.add("gave up too early")
            wire = copy.wire
            copy.go_back()
            copy.ended_early = True
            if wire is not None:
                wire.function_closes()

    def _function_answers_inline(self, number: int, _: int) -> None:
        for copy in self._alive(number):
            if copy.wire is None and not copy.stream.ended:
                copy.end()
                copy.ended_early = True
                copy.go_back(inline=True)

    def _function_cannot_dial(self, number: int, size: int) -> None:
        for copy in self._alive(number):
            if copy.stream._epoch == 0:
                copy.undialled = True
                copy.stream.buffer_for_receipt()
                copy.write(WINDOW + size)

    @precondition(thawed)
    @rule(number=which, other=which, fresh=st.booleans())
    def function_attaches(self, number: int, other: int, fresh: bool) -> None:
        attachable = [c for c in self.world.copies if c.attachable and c.wire is None]
        for copy in pick(attachable, number):
            self._attach(copy, other, fresh=fresh)

    @precondition(thawed)
    @rule(number=which, other=which, fresh=st.booleans())
    def function_hedges(self, number: int, other: int, fresh: bool) -> None:
        attached = [c for c in self.world.copies if c.attachable and c.wire is not None]
        for copy in pick(attached, number):
            self._attach(copy, other, fresh=fresh)

    def _attach(self, copy: Copy, other: int, *, fresh: bool) -> None:
        world = self.world
        world.wires = [w for w in world.wires if w.function_open or w.gateway_open]
        parked = pick([w for w in world.wires if w.parked], 0 if fresh else other)
        if fresh or not parked:
            if len(world.wires) >= MOST_WIRES:
                return
            parked = [world.dial()]
        for wire in parked:
            wire.attach(copy)
            sent = [m for m in wire.up.messages if isinstance(decode(m), Attach)]
            self.attaches += sent[-1:]

    @precondition(thawed)
    @rule(number=which)
    def end_is_said_twice(self, number: int) -> None:
        said = [w for w in self.world.wires if w.copy and w.copy.wire is w]
        for wire in pick(said, number):
            assert wire.copy is not None
            stream = wire.copy.stream
            if stream.state is not FunctionState.ATTACHED or not stream.end_sent:
                return
            body = wire.copy.stream._response.body
            wire.say([End(wire.copy.stream._sid, body.written, body.crc_at(body.written))])

    @precondition(thawed)
    @rule(what=st.sampled_from(ENDINGS), number=which, size=size)
    def an_exchange_takes_another_end(self, what: str, number: int, size: int) -> None:
        getattr(self, "_" + what)(number, size)

    # ------------------------------------------------------------------ somebody else

    @rule(what=st.sampled_from(INTRUSIONS), number=which, size=size)
    def somebody_else_acts(self, what: str, number: int, size: int) -> None:
        getattr(self, "_" + what)(number, size)

    def _another_copy_runs(self, number: int, older: int) -> None:
        for exchange in pick(self.world.exchanges, number):
            inv = exchange.main.inv - older % 2
            if inv and len(exchange.copies) < 3:
                exchange.excuses.add("another copy")
                exchange.copies.append(Copy(exchange, len(exchange.copies), inv))

    def _attach_is_replayed(self, number: int, _: int) -> None:
        for message in pick(self.attaches, number):
            frame = decode(message)
            assert isinstance(frame, Attach)
            if self.world.find(frame.xid).gateway.pair >= (frame.inv, frame.epoch):
                self.world.dial().replay(message)

    def _attach_is_forged(self, number: int, _: int) -> None:
        for message in pick(self.attaches, number):
            frame = decode(message)
            assert isinstance(frame, Attach)
            gateway = self.world.find(frame.xid).gateway
            if gateway.pair[0] == frame.inv:
                newer = replace(frame, epoch=frame.epoch + 100, hi=gateway.position, flags=1)
                self.world.dial().replay(encode(replace(newer, secret=b"?" * 16)))

    def _a_byte_is_falsified(self, number: int, up: int) -> None:
        found = [
            (wire.copy, messages, at)
            for wire in self.world.wires
            if wire.copy is not None
            for messages in [wire.up.messages if up % 2 else wire.down.messages]
            for at, message in enumerate(messages)
            if isinstance(decode(message), Data)
        ]
        for copy, messages, at in pick(found, number):
            copy.exchange.excuses.add("falsified")
            messages[at] = messages[at][:-1] + bytes([messages[at][-1] ^ 1])

    # ------------------------------------------------------------------ the network and the clock

    @rule()
    def everybody_moves(self) -> None:
        self.world.move()

    @rule(size=size, rounds=few, repairs=st.booleans())
    def everybody_works(self, size: int, rounds: int, repairs: bool) -> None:
        self.world.thaw()
        if repairs:
            self._repair()
        for _ in range(rounds):
            for copy in self.world.copies:
                if copy.alive:
                    copy.write(size)
                    copy.take_upload()
            for exchange in self.world.exchanges:
                exchange.client_takes(size)
                exchange.client_uploads(size)
            self.world.move()
            self.world.pass_time(0.05)

    def _repair(self) -> None:
        for wire in [w for w in self.world.wires if w.lost or w.muted]:
            wire.dead = True
            wire.function_closes()
            wire.gateway_closes()
        for copy in self.world.copies:
            if copy.attachable and copy.wire is None:
                self._attach(copy, 0, fresh=False)

    @rule(number=which, up=st.booleans())
    def one_end_speaks(self, number: int, up: bool) -> None:
        for wire in pick(self.world.wires, number):
            if not up:
                wire.gateway_speaks()
            elif not self.world.frozen:
                wire.function_speaks()

    @rule(number=which, up=st.booleans(), count=few)
    def messages_arrive(self, number: int, up: bool, count: int) -> None:
        for wire in pick([w for w in self.world.wires if w.up.messages or w.down.messages], number):
            if up:
                wire.gateway_takes(count)
            elif not self.world.frozen:
                wire.function_takes(count)

    @rule(number=which, up=st.integers(0, 200), down=st.integers(0, 200))
    def wire_is_cut(self, number: int, up: int, down: int) -> None:
        for wire in pick([w for w in self.world.wires if not w.dead], number):
            wire.cut(up, 0 if self.world.frozen else down)

    @rule(number=which, up=st.booleans())
    def wire_goes_half_open(self, number: int, up: bool) -> None:
        for wire in pick([w for w in self.world.wires if not w.dead], number):
            wire.mute(wire.up if up else wire.down)

    @rule(number=which, function=st.booleans())
    def one_end_notices(self, number: int, function: bool) -> None:
        for wire in pick([w for w in self.world.wires if w.lost], number):
            if not function:
                wire.gateway_closes()
            elif not self.world.frozen:
                wire.function_closes()

    @rule(seconds=st.sampled_from([0.05, 0.2, 5.5, 10.5, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def function_freezes_or_thaws(self) -> None:
        if self.world.frozen:
            self.world.thaw()
        else:
            self.world.frozen = True

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def every_invariant_holds(self) -> None:
        for check in invariants.INVARIANTS:
            check(self.world, self.history)

    @override
    def teardown(self) -> None:
        """Whatever happened: once the faults stop, everything comes to an end."""
        invariants.i8_without_more_faults_everything_comes_to_an_end(self.world)
        self.every_invariant_holds()
        invariants.i10_nothing_is_left_behind(self.world)


@pytest.mark.timeout(0 if EXAMPLES > 1000 else 120)
@pytest.mark.usefixtures("small_numbers")
def test_whatever_happens_the_invariants_hold() -> None:
    run_state_machine_as_test(
        StreamMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
