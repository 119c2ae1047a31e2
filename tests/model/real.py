"""The steps of the model made by the code: real streams, real encoded frames, an abstract of them.

Frames carry one byte each and time jumps far enough for every quiet WINDOW to be due, since the model
knows neither sizes nor a clock.
"""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from typing import TYPE_CHECKING
from unittest.mock import patch

from protocol import function_stream
from protocol.codec import decode, encode
from protocol.connection import FunctionConnection, GatewayConnection
from protocol.envelope import Envelope
from protocol.errors import LocalProtocolError, RejectCode
from protocol.frames import (
    Attach,
    Attached,
    Data,
    End,
    EndAck,
    Frame,
    Head,
    Park,
    Reject,
    StreamFrame,
    Window,
)
from protocol.function_stream import FunctionState, FunctionStream
from protocol.gateway_stream import GatewayStream
from protocol.limits import Limits
from protocol.receipt import Receipt
from tests.model import state as model

if TYPE_CHECKING:
    from tests.model.config import Config
    from tests.model.state import Ints, State

_XID = bytes(range(16))
_LIMITS = Limits()
_MODES = (
    FunctionState.DETACHED,
    FunctionState.ATTACHING,
    FunctionState.ATTACHED,
    FunctionState.DONE,
)
_MAIN, _STALE = b"m", b"s"
_NEXT_XID, _NEXT_SID = bytes(16), 99
"""The exchange that follows on the same connection. It goes no further than its ATTACH."""


def _gateway_connection() -> GatewayConnection:
    return GatewayConnection(_LIMITS, 0.0)


class Real:
    """Both ends of one exchange, and what is between them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stream = self._function(2 if config.stale else 1, b"main".ljust(16))
        self._gateway = GatewayStream(_XID, window=config.window, limits=_LIMITS, upload=False)
        self._queues: list[list[bytes]] = [[] for _ in range(config.attaches + 1)]
        self._back: list[bytes] = []
        self._now = 0.0
        self._cut = self._lost = False
        self._returned: Receipt | None = None
        self._delivered = False
        self._owners: set[bytes] = set()
        self._user = model.GOES_ON
        self._left = model.BOUND_HERE
        self._here: FunctionConnection | None = None
        self._there: dict[int, GatewayConnection] = defaultdict(_gateway_connection)
        if config.stale:
            stale = self._function(1, b"stale".ljust(16))
            self._queues[0].append(encode(stale.attach(1)))
            stale.start(200, [(b"from", _STALE)])
            stale.write(_STALE)
            self._queues[0] += map(encode, stale.frames_to_send(0.0))

    def _function(self, inv: int, secret: bytes) -> FunctionStream:
        window = self._config.window
        envelope = Envelope(_XID.hex(), inv, ("ws://gateway",), "token", window, 4096)
        stream = FunctionStream(envelope, secret=secret, limits=_LIMITS)
        stream._response.body.max_frame = 1
        return stream

    def clone(self) -> Real:
        """A copy that shares nothing."""
        return deepcopy(self)

    # ------------------------------------------------------------------ steps

    def take_step(self, name: str) -> None:
        """Do what a step of the model names."""
        what, _, number = name.rpartition(" ")
        if number.isdigit():
            {"deliver up": self._arrive, "cut": self._break}[what](int(number))
        else:
            getattr(self, "_" + name.replace(" ", "_"))()

    @property
    def _epoch(self) -> int:
        return self._stream._epoch

    @property
    def _heard(self) -> bool:
        """Whether the function still listens to its newest connection, if only to drop what it hears."""
        done = self._stream.state is FunctionState.DONE or self._returned is not None
        return not self._cut and (not done or self._left != model.BOUND_HERE)

    def _start(self) -> None:
        if not self._stream.started:
            self._stream.start(200, [(b"from", _MAIN)])

    def _write(self) -> None:
        self._start()
        assert self._stream.write(_MAIN) == 1
        self._speak()

    def _end(self) -> None:
        self._user_is_done(model.WAITS)

    def _part(self) -> None:
        self._user_is_done(model.PARTS)

    def _leave(self) -> None:
        self._user_is_done(model.LEAVES)

    def _user_is_done(self, how: int) -> None:
        self._start()
        self._user = how
        if not self._stream.ended:
            self._stream.end()
        self._speak()

    def _attach(self) -> None:
        attach = self._stream.attach(self._epoch + 1)
        self._here = FunctionConnection(_LIMITS, self._now)
        self._here.open_stream(attach.sid, self._now)
        self._cut, self._back = False, []
        self._queues[self._epoch] = [encode(attach)]
        self._speak()

    def _speak(self) -> None:
        frames = self._stream.frames_to_send(self._now)
        if self._user in (model.PARTS, model.LEAVES):
            self._part_with(frames)
        if not self._cut:
            self._queues[self._epoch] += map(encode, frames)

    def _part_with(self, frames: list[Frame]) -> None:
        """Do what `lambda_client.pump` does of a session whose user is done."""
        stream = self._stream
        with patch.object(function_stream, "PARTING_MAX", self._config.parting):
            parts = stream.part(frames, silently=self._user == model.PARTS)
        if parts:
            assert self._here is not None
            self._here.leave(self._epoch, self._now, answer_due=stream.answer_due)
            self._left = model.FREE
            self._returned = Receipt.parse(stream.receipt().to_json())

    def _next(self) -> None:
        assert self._here is not None
        if not self._here.reusable:
            raise LocalProtocolError("the connection owes an answer")
        self._here.open_stream(_NEXT_SID, self._now)
        self._left = model.CARRIES_NEXT
        attach = Attach(_NEXT_SID, _NEXT_XID, 1, 1, "", bytes(16), 0, 0, 0, 0, 0)
        self._queues[self._epoch].append(encode(attach))

    def _function_notices_the_cut(self) -> None:
        self._stream.detach()

    def _give_up(self) -> None:
        self._returned = Receipt.parse(self._stream.receipt().to_json())
        self._back = []

    def _receipt(self) -> None:
        assert self._returned is not None
        self._delivered = True
        for record in self._gateway.apply_receipt(self._returned):
            self._note(record)

    def _deliver_down(self) -> None:
        frame = decode(self._back.pop(0))
        assert frame is not None
        assert self._here is not None
        wanted = self._here.receive(frame, self._now)
        if self._left == model.BOUND_HERE:
            assert wanted is not None
            self._stream.receive(wanted, self._now)
            self._speak()
        elif wanted is not None:
            assert isinstance(wanted, Attached), "of the next exchange"
            self._left = model.SERVES_NEXT

    def _arrive(self, number: int) -> None:
        connection, frame = self._there[number], decode(self._queues[number].pop(0))
        assert frame is not None
        wanted = connection.receive(frame, self._now)
        if isinstance(wanted, Attach):
            self._decide(number, wanted)
        elif wanted is not None:
            assert not isinstance(wanted, Park)
            self._take(number, wanted)
        self._reply(number, connection.frames_to_send(self._now))

    def _decide(self, number: int, frame: Attach) -> None:
        answer: Attached | Reject
        if frame.xid == _NEXT_XID:
            answer = Attached(frame.sid, 0, 0, 0, 0, 0, _LIMITS)
        else:
            answer = self._gateway.attach(frame, number, self._now)
        if isinstance(answer, Reject):
            self._there[number].refuse(answer, self._now)
            return
        self._there[number].accept(frame.sid, self._now)
        if self._gateway.bound == number:
            self._lost = False
        self._reply(number, [answer])

    def _take(self, number: int, frame: StreamFrame) -> None:
        """Do what `gateway.callback.pump` does."""
        record = self._gateway.receive(number, frame, self._now)
        if record is not None:
            self._note(record)
        if isinstance(frame, End) and self._gateway.bound == number:
            self._credit()
            assert self._gateway.over or self._gateway.failed is not None
            if self._gateway.over and self._gateway.detach(number):
                self._there[number].release(frame.sid, self._now)
                self._lost = False

    def _note(self, record: Frame) -> None:
        if isinstance(record, Data):
            self._owners |= {record.data[at : at + 1] for at in range(len(record.data))}
        elif isinstance(record, Head):
            self._owners.add(record.headers[0][1])

    def _reply(self, number: int, frames: list[Frame]) -> None:
        if number == self._epoch != model.STALE and self._heard:
            self._back += map(encode, frames)

    def _credit(self) -> None:
        self._gateway.due(self._now)
        self._now += 1.0
        bound = self._gateway.bound
        frames = self._gateway.frames_to_send(self._now)
        if isinstance(bound, int) and not self._lost:
            self._reply(bound, frames)

    def _client_takes(self) -> None:
        self._gateway.consumed(1)

    def _bury(self) -> None:
        self._gateway.terminate(RejectCode.TERMINAL)

    def _gateway_notices_the_cut(self) -> None:
        assert self._gateway.detach(self._gateway.bound or 0)
        self._lost = False

    def _break(self, number: int) -> None:
        self._queues[number] = []
        if self._epoch == number:
            self._cut, self._back = True, []
        if self._gateway.bound == number:
            self._lost = True

    # ------------------------------------------------------------------ the abstract

    def state(self) -> State:
        """What the model would call this."""
        queues = tuple(tuple(map(_abstract, queue)) for queue in self._queues)
        return (
            self._function_state(),
            self._gateway_state(),
            queues,
            tuple(map(_abstract, self._back)),
        )

    def _function_state(self) -> Ints:
        stream, response = self._stream, self._stream._response
        body = response.body
        mode = model.DONE if self._returned is not None else _MODES.index(stream.state)
        numbers = (mode, self._epoch, body.written, body.sent, body.acked, body.maximum)
        assert body.finished == (self._user != model.GOES_ON)
        flags = (self._user, response.head_sent, response.head_known, response.end_sent)
        return (*numbers, *map(int, flags), self._outcome(), int(self._cut), self._place())

    def _place(self) -> int:
        owes = self._left == model.FREE and self._here is not None and not self._here.reusable
        return model.OWES if owes else self._left

    def _outcome(self) -> int:
        if self._returned is not None:
            return model.DELIVERED if self._delivered else model.RECEIPT
        if self._stream.state is not FunctionState.DONE:
            return model.NONE
        rejected = self._stream.rejected
        if rejected is None or rejected.code == RejectCode.TERMINAL:
            return model.HELD
        return model.REFUSED

    def _gateway_state(self) -> Ints:
        gateway, body = self._gateway, self._gateway._response.body
        inv, epoch = gateway.pair
        older = self._config.stale and inv == 1
        key = 1 if older else epoch + 1 if inv else 0
        bound = gateway.bound if isinstance(gateway.bound, int) else -1
        numbers = (key, bound, body.position, body.consumed, body.maximum, body._acked)
        flags = (int(gateway.head is not None), int(gateway.ended))
        terminal = 0 if gateway.terminal is None else model.BURIED
        terminal = terminal if gateway.failed is None else model.FAILED
        return (*numbers, *flags, terminal, self._owner(), int(self._lost))

    def _owner(self) -> int:
        assert len(self._owners) < 2, "a response of two invocations"
        if not self._owners:
            return model.NOBODY
        return model.MAIN_OWNER if _MAIN in self._owners else model.STALE_OWNER


def _abstract(message: bytes) -> int:
    frame = decode(message)
    packed = 0
    match frame:
        case Attach() if frame.xid == _NEXT_XID:
            packed = model.frame(model.NEXT)
        case Attached() if frame.sid == _NEXT_SID:
            packed = model.frame(model.NEXT_ATTACHED)
        case Attach():
            packed = model.frame(model.ATTACH, frame.lo, frame.hi, frame.flags & 1)
        case Attached():
            packed = model.frame(model.ATTACHED_FRAME, frame.recv, frame.max, frame.flags & 1)
        case Window():
            packed = model.frame(model.WINDOW, frame.ack, frame.max)
        case Data():
            packed = model.frame(model.DATA, frame.offset)
        case End() | EndAck():
            parting = frame.flags if isinstance(frame, End) else 0
            kind = model.END if isinstance(frame, End) else model.END_ACK
            packed = model.frame(kind, frame.final, 0, parting)
        case Head():
            packed = model.frame(model.HEAD_FRAME)
        case Reject():
            gap = frame.code == RejectCode.GAP
            packed = model.frame(model.REJECT_GAP if gap else model.REJECT_TERMINAL)
        case _:
            raise AssertionError(f"the model knows no {frame}")
    return packed
