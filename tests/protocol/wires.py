"""One connection, its ends kept as the shells keep them (`gateway.callback.pump`, `lambda_client.pump`):
they look streams up, release them, park, close. The network between them may die or lose a direction.

An honest end that is told it broke a rule is an error, unless the exchange has an excuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from protocol.connection import FunctionConnection, GatewayConnection
from protocol.errors import RejectCode, RemoteProtocolError, StreamFailed
from protocol.frames import Attach, Attached, End, EndAck, Frame, Park, Reject, Reset
from protocol.function_stream import FunctionState
from tests.protocol.link import LIMITS, Pipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.frames import StreamFrame
    from tests.protocol.exchanges import Copy, Exchange
    from tests.protocol.world import World


class Wire:
    """One connection: each end may be closed, and the network between them may have died."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.up, self.down = Pipe(), Pipe()
        self.function = FunctionConnection(LIMITS, world.now)
        self.gateway = GatewayConnection(LIMITS, world.now)
        self.function_open = self.gateway_open = True
        self.dead = False
        self.copy: Copy | None = None
        self.exchange: Exchange | None = None
        self._answer: Attached | None = None
        self._sid = 0

    @property
    def parked(self) -> bool:
        """Whether the function would use it for another exchange."""
        return self.function_open and self.copy is None and self.function.reusable

    # ------------------------------------------------------------------ the function's end

    def attach(self, copy: Copy) -> None:
        """Attach a copy here, whatever carried it before."""
        sid = self.world.next_sid()
        self.copy, copy.wire = copy, self
        self._push(self.up, [copy.stream.attach(sid)])
        self.function.open_stream(sid, self.world.now)
        self.function_speaks()

    def function_speaks(self) -> None:
        """Send what the function's end has to say; keep it for another copy once its stream is over here."""
        if not self.function_open:
            return
        now, copy = self.world.now, self.copy
        frames = self.function.frames_to_send(now)
        if copy is not None and copy.wire is self:
            said = copy.stream.frames_to_send(now)
            parts = copy.parts is not None and copy.stream.part(said, silently=copy.parts)
            if parts:
                copy.go_back()
            frames += said
            if copy.stream.state is FunctionState.DONE or copy.stream.rejected is not None:
                self._park(copy)
        self._push(self.up, frames)

    def _park(self, copy: Copy) -> None:
        if self.function.active is not None:  # a REJECT has released it already
            due = copy.stream.answer_due
            self.function.leave(self.function.active, self.world.now, answer_due=due)
        self.function.park()
        self.copy = copy.wire = None

    def function_takes(self, count: int) -> int:
        """Hand the function what arrived, so many messages; returns how many there were."""
        return self._deliver(self.down, self._function_takes, count if self.function_open else 0)

    def _function_takes(self, frame: Frame) -> None:
        rest = self.function.receive(frame, self.world.now)
        if rest is not None and self.copy is not None:
            taken = isinstance(rest, Reject) and rest.code == RejectCode.LIMIT
            assert not taken, "I5: the next exchange finds its connection taken"
            try:
                self.copy.stream.receive(rest, self.world.now)
            except StreamFailed as error:
                self.copy.exchange.fail(error)

    def function_closes(self) -> None:
        """The function notices the end of the connection, or ends it."""
        self.function_open = False
        self.down.messages.clear()
        if self.copy is not None and self.copy.wire is self:
            self.copy.stream.detach()
            self.copy.wire = None

    # ------------------------------------------------------------------ the gateway's end

    def gateway_speaks(self) -> None:
        """Send what the gateway's end has to say."""
        if not self.gateway_open:
            return
        now, exchange = self.world.now, self.exchange
        frames = self.gateway.frames_to_send(now)
        if self._answer is not None:
            frames.append(self._answer)
            self._answer = None
        if exchange is not None and exchange.gateway.bound is self:
            frames += exchange.gateway.frames_to_send(now)
            for frame in frames:
                self._watch_end_ack(exchange, frame)
            self._release_if_over()
        self._push(self.down, frames)

    def _watch_end_ack(self, exchange: Exchange, frame: Frame) -> None:
        if isinstance(frame, EndAck):
            held, crc = exchange.gateway.position, exchange.gateway._response.body.crc
            whole = any(
                copy.stream.ended and held == copy.written and crc == crc32(copy.body[:held])
                for copy in exchange.copies
            )
            assert exchange.gateway.ended, "I6: END_ACK before END"
            assert whole, "I6: END_ACK, and the gateway does not hold everything"

    def gateway_takes(self, count: int) -> int:
        """Hand the gateway what arrived, so many messages; returns how many there were."""
        return self._deliver(self.up, self._gateway_takes, count if self.gateway_open else 0)

    def _gateway_takes(self, frame: Frame) -> None:
        rest = self.gateway.receive(frame, self.world.now)
        match rest:
            case None | Park():
                return
            case Attach():
                self._decide(rest)
            case _:
                if self.exchange is not None:
                    self._exchange_takes(self.exchange, rest)

    def _decide(self, frame: Attach) -> None:
        self._leave_exchange()
        exchange = self.world.find(frame.xid)
        answer = exchange.gateway.attach(frame, self, self.world.now)
        if isinstance(answer, Attached):
            self.gateway.accept(frame.sid, self.world.now)
            self.exchange, self._sid, self._answer = exchange, frame.sid, answer
        else:
            honest = answer.code != RejectCode.GAP or exchange.excuses
            assert honest, "I1: an honest function is told of a gap"
            try:
                self.gateway.refuse(answer, self.world.now)
            except RemoteProtocolError:
                assert exchange.excuses, "an honest function is refused too often"
                self.gateway_closes()

    def _exchange_takes(self, exchange: Exchange, frame: StreamFrame) -> None:
        stream = exchange.gateway
        fenced = stream.bound is not self
        before = self.world.snapshot(exchange) if fenced else None
        try:
            record = stream.receive(self, frame, self.world.now)
        except StreamFailed as error:
            exchange.fail(error)
            self.gateway_closes()
            return
        if record is not None:
            exchange.note(record)
        if fenced:
            assert record is None, "I5: a fenced connection was heard"
            assert before == self.world.snapshot(exchange), "I5: a fenced frame changed something"
        if isinstance(frame, End | Reset):
            self._release_if_over()

    def _release_if_over(self) -> None:
        if self.exchange is not None and self.exchange.gateway.over:
            self.gateway.release(self._sid, self.world.now)
            self._leave_exchange()

    def _leave_exchange(self) -> None:
        if self.exchange is not None:
            self.exchange.gateway.detach(self)
            self.exchange = self._answer = None

    def gateway_closes(self) -> None:
        """The gateway notices the end of the connection, or ends it."""
        self.gateway_open = False
        self.up.messages.clear()
        self._leave_exchange()

    # ------------------------------------------------------------------ the network

    def _push(self, pipe: Pipe, frames: list[Frame]) -> None:
        if not self.dead:
            pipe.push(frames)
            longest = max(map(len, pipe.messages), default=0)
            assert longest <= LIMITS.max_message, "I9: a message longer than any may be"

    def _deliver(self, pipe: Pipe, take: Callable[[Frame], None], count: int) -> int:
        done = 0
        while done < count and (frame := pipe.pop()) is not None:
            done += 1
            take(frame)
        return done

    def cut(self, up: int, down: int) -> None:
        """Let so many more bytes arrive in each direction, whole messages count; then break."""
        self.up.budget, self.down.budget = self.up.carried + up, self.down.carried + down
        self.gateway_takes(len(self.up.messages))
        self.function_takes(len(self.down.messages))
        self.dead = True
        self.up.messages.clear()
        self.down.messages.clear()

    def mute(self, pipe: Pipe) -> None:
        """Lose everything in one direction from now on, silently."""
        pipe.budget = pipe.carried

    @property
    def muted(self) -> bool:
        """Whether a direction was lost."""
        return self.up.budget is not None or self.down.budget is not None

    @property
    def lost(self) -> bool:
        """Whether there is something to notice: broken, or closed at the other end."""
        return self.dead or not (self.function_open and self.gateway_open)

    def replay(self, message: bytes) -> None:
        """Send what somebody recorded; nobody is at the function's end."""
        self.function_open = False
        self.up.messages.append(message)

    def say(self, frames: list[Frame]) -> None:
        """Send what the function's stream has not asked for."""
        self._push(self.up, frames)
