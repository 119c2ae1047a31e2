"""`FunctionConnection` and `FunctionStream` against a gateway that says anything, in any order.

The response and the request body are the same known pattern, so a model needs only to remember how far
each of them got, and what the gateway said.
"""

from __future__ import annotations

import json
from zlib import crc32

from protocol.connection import FunctionConnection
from protocol.envelope import Envelope
from protocol.errors import RemoteProtocolError, ResetCode, StreamFailed
from protocol.frames import (
    Attached,
    AttachedFlag,
    Cancel,
    Data,
    End,
    EndAck,
    Frame,
    Head,
    Reject,
    Reset,
    Window,
)
from protocol.function_stream import FunctionState, FunctionStream
from protocol.limits import INITIAL_WINDOW, MAX_WINDOW, RECEIPT_BODY_MAX
from protocol.receipt import Receipt
from tests.fuzz import made_frames as made
from tests.fuzz.choices import Choices

XID, SECRET = bytes(range(16)), b"s" * 16
_STEPS = 200


def fuzz(data: bytes) -> None:
    world = _World(Choices(data))
    for _ in range(_STEPS):
        if not world.choices.left:
            break
        world.step()
        world.require_order()
    world.require_receipt()


class _World:
    """One exchange, the connection that it has now, and what is known about both."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.now = 0.0
        self.envelope = Envelope(
            XID.hex(),
            choices.pick((1, 1, 2)),
            ("ws://h",),
            "token",
            choices.pick((64, 1, 300)),
            made.MAX_FRAME,
            choices.pick(("stream", "inline")),
        )
        self.stream = FunctionStream(self.envelope, secret=SECRET, limits=made.LIMITS)
        self.sid = 0
        self.connection = FunctionConnection(made.LIMITS, 0.0)
        self.written = 0
        self.sent = 0  # next offset on this connection
        self.acked = 0
        self.credit = self.envelope.window
        self.head_out = self.end_out = self.attached = False
        self.read = 0
        self.may_reset = False
        self.lied = False  # the gateway sent other request bytes than the pattern
        self.before = self._counters()

    # ------------------------------------------------------------ what may happen

    def step(self) -> None:
        steps = (
            self.attach,
            self.go_on,
            self.produce,
            self.end,
            self.send,
            self.hear_attached,
            self.hear_window,
            self.hear_upload,
            self.hear_other,
            self.take,
            self.finish,
            self.lose,
        )
        self.choices.pick(steps)()

    def attach(self) -> None:
        if self.stream.state is FunctionState.DONE:
            return
        self.connection = FunctionConnection(made.LIMITS, self.now)
        self.sid += 1
        self.connection.open_stream(self.sid, self.now)
        frame = self.stream.attach(self.sid)
        made.carried_unchanged(frame)
        assert frame.lo == self.acked <= frame.hi <= self.written
        self.sent, self.head_out, self.end_out, self.attached = 0, False, False, False

    def produce(self) -> None:
        stream, choices = self.stream, self.choices
        if not stream.started:
            stream.start(200, ((b"a", b"b"),))
        if not stream.ended:
            self.written += stream.write(made.PATTERN[self.written :][: choices.below(256)])

    def end(self) -> None:
        if self.stream.started and not self.stream.ended:
            self.stream.end()

    def finish(self) -> None:
        how = self.choices.below(4)
        if how == 0:
            self.may_reset = True
            self.stream.reset(ResetCode.HANDLER_ERROR, "x" * self.choices.below(400))
        elif how == 1:
            self.stream.buffer_for_receipt()
        elif how == 2:
            answer = self.stream.inline_answer()
            assert answer is None or answer.tail == (0, made.PATTERN[: self.written])
        else:
            self.require_receipt()

    def lose(self) -> None:
        self.stream.detach()
        self.attached = False

    def take(self) -> None:
        data = b"".join(self.stream.read())
        if not self.lied:
            assert data == made.PATTERN[self.read :][: len(data)], "request bytes lost or doubled"
        self.read += len(data)
        self.now += self.choices.pick((0.0, 0.05, 0.2, 30.0))

    def send(self) -> None:
        state = self.stream.state
        frames = self.stream.frames_to_send(self.now)
        fresh = self.envelope.inv == 1 and self.sid == 1
        if frames:
            assert state is FunctionState.ATTACHED or (fresh and state is FunctionState.ATTACHING)
        for frame in frames:
            made.carried_unchanged(frame)
            self.check_sent(frame)

    # ------------------------------------------------------------ what the gateway says

    def hear_attached(self) -> None:
        choices = self.choices
        recv = choices.near(0, self.acked, self.written)
        frame = Attached(
            self.sid or 1,
            recv,
            choices.near(crc32(made.PATTERN[:recv]), high=2**32 - 1),
            choices.near(recv + 100, self.credit),
            choices.below(16),
            choices.near(0, self.read),
            made.LIMITS,
        )
        self.answer(frame)

    def answer(self, frame: Attached) -> None:
        before = self.stream.state
        self.may_reset |= frame.crc != crc32(made.PATTERN[: frame.recv])
        self.hear(frame)
        if before is FunctionState.ATTACHING and self.stream.state is FunctionState.ATTACHED:
            self.attached = True
            self.credit = max(self.credit, frame.max)
            if not (self.envelope.inv == 1 and self.sid == 1):
                self.sent, self.head_out = frame.recv, bool(frame.flags & 1)

    def go_on(self) -> None:
        """What an honest gateway does after a cut: it goes on where it stands, and takes more."""
        held = self.acked + self.choices.below(max(self.sent - self.acked, 0) + 1)
        flags = AttachedFlag.HEAD_KNOWN if self.head_out else 0
        self.attach()
        if self.envelope.inv == 1 and self.sid == 1:
            held = 0
        crc = crc32(made.PATTERN[:held])
        self.answer(Attached(self.sid or 1, held, crc, held + 200, flags, 0, made.LIMITS))
        self.produce()
        self.send()

    def hear_window(self) -> None:
        ack = self.choices.near(self.sent, self.acked, self.written)
        frame = Window(self.sid or 1, ack, self.choices.near(ack + 100, self.credit))
        legal = self.stream.state is FunctionState.ATTACHED and ack <= self.sent <= self.written
        if self.hear(frame) and legal and frame.max >= ack >= self.acked:
            self.acked = ack
            self.credit = max(self.credit, frame.max)

    def hear_upload(self) -> None:
        choices, sid = self.choices, self.sid or 1
        held = self.read + self.stream.upload_waiting
        if choices.byte() < 200:
            frame = made.data(choices, sid, held, 0, credit=self.read + INITIAL_WINDOW)
            self.lied |= frame.data != made.PATTERN[frame.offset :][: len(frame.data)]
            self.hear(frame)
        else:
            self.hear(made.end(choices, sid, made.PATTERN[:held]))

    def hear_other(self) -> None:
        choices, sid = self.choices, self.sid or 1
        how = choices.below(4)
        if how == 0:
            self.hear(Cancel(sid, choices.near(1, 2), "why"))
        elif how == 1:
            self.hear(Reject(sid, choices.below(12), None, "no", choices.pick((None, "wss://h"))))
        elif how == 2:
            whole = self.end_out
            self.hear(EndAck(sid, choices.near(self.written)))
            assert whole or not self.stream.end_acknowledged, "an END that was never sent"
        else:
            self.hear_any(made.any_frame(choices, sid))

    def hear_any(self, frame: Frame) -> None:
        """A frame of no particular sense; what it would change in the model is said by others."""
        if not isinstance(frame, Window | Attached | Data | EndAck):
            self.hear(frame)

    def hear(self, frame: Frame) -> bool:
        """Whether the stream took it without an objection."""
        try:
            read = made.carried(frame)
            assert read is not None
            wanted = self.connection.receive(read, self.now)
            if wanted is None:
                return False
            self.stream.receive(wanted, self.now)
        except RemoteProtocolError as error:
            self.may_reset |= isinstance(error, StreamFailed)
            self.lose()
            return False
        return True

    # ------------------------------------------------------------ what must hold

    def check_sent(self, frame: Frame) -> None:
        match frame:
            case Head():
                assert not self.head_out, "HEAD twice"
                self.head_out = True
            case Data():
                assert self.head_out, "DATA before HEAD"
                assert frame.offset == self.sent, "bytes lost or doubled"
                assert frame.data == made.PATTERN[frame.offset :][: len(frame.data)]
                self.sent += len(frame.data)
                assert self.sent <= min(self.credit, self.acked + MAX_WINDOW), "beyond the credit"
            case End():
                body = made.PATTERN[: self.written]
                assert self.sent == self.written
                assert (frame.final, frame.crc) == (len(body), crc32(body))
                self.end_out = True
            case Window():
                assert frame.ack <= self.read, "acknowledged, but not read"
            case EndAck():
                assert self.stream.upload_ended
            case _:
                assert isinstance(frame, Reset)
                assert self.may_reset, "broken off for no reason"

    def require_receipt(self) -> None:
        """At any moment the function can return something true."""
        receipt = self.stream.receipt("why")
        assert Receipt.parse(json.loads(json.dumps(receipt.to_json()))) == receipt
        body = made.PATTERN[: self.written]
        if receipt.status == "end":
            assert self.stream.ended
            assert (receipt.final, receipt.crc) == (len(body), crc32(body))
        if receipt.tail is not None:
            offset, tail = receipt.tail
            assert receipt.status == "end"
            assert offset <= self.acked
            assert tail == body[offset:]
            assert receipt.head is not None or offset > 0 or self.attached or self.sid > 0
        else:
            ended = receipt.status == "end"
            assert not ended or self.stream.end_acknowledged or self.stream.rejected is not None

    def _counters(self) -> tuple[int, ...]:
        stream = self.stream
        return (stream.dropped, stream.ended, stream.end_acknowledged, stream.upload_ended)

    def require_order(self) -> None:
        after = self._counters()
        assert all(new >= old for new, old in zip(after, self.before, strict=True))
        self.before = after
        stream = self.stream
        assert 0 <= stream.room <= RECEIPT_BODY_MAX
        assert stream.upload_waiting >= 0
        assert self.sent <= self.written
        assert stream.cancelled is None or not stream.room
