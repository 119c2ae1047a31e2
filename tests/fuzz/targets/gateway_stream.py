"""`GatewayConnection` and `GatewayStream` under any frames, cuts, receipts and orders of events.

Beside them runs a model that only remembers: which bytes were handed on, and what the function was
told. It is driven as `gateway.callback.pump` drives the real thing.
"""

from __future__ import annotations

from zlib import crc32

from protocol.connection import GatewayConnection
from protocol.errors import CancelCode, RejectCode, RemoteProtocolError, StreamFailed
from protocol.frames import (
    Attach,
    Attached,
    AttachFlag,
    Cancel,
    Data,
    End,
    EndAck,
    Frame,
    Head,
    Park,
    Reject,
    Reset,
    Window,
)
from protocol.gateway_stream import GatewayStream, Record
from protocol.limits import MAX_WINDOW
from protocol.receipt import Receipt
from tests.fuzz import made_frames as made
from tests.fuzz.choices import Choices
from tests.fuzz.targets.head import require_safe

XID, SECRET, OTHER = bytes(range(16)), b"s" * 16, b"o" * 16
_STEPS = 200


def fuzz(data: bytes) -> None:
    world = _World(Choices(data))
    for _ in range(_STEPS):
        if not world.choices.left:
            break
        world.step()
        world.require_order()


class _World:
    """One exchange, three connections, and what is known about them."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.now = 0.0
        window = choices.pick((64, 1, 300))
        self.stream = GatewayStream(
            XID,
            window=window,
            limits=made.LIMITS,
            upload=choices.flag(),
            check_length=choices.flag(),
        )
        self.connections = [GatewayConnection(made.LIMITS, 0.0) for _ in range(3)]
        self.sids = [0, 0, 0]
        self.body = bytearray()  # handed on
        self.heads = 0
        self.closed = False  # END or RESET was handed on
        self.told = window
        self.by_receipt = 0  # a receipt's tail needs no credit
        self.acked = 0
        self.consumed = 0
        self.credit = 0  # for the upload
        self.uploaded = 0
        self.upload_finished = False
        self.upload_at = 0  # next offset on the bound connection
        self.before = self._counters()

    # ------------------------------------------------------------ what may happen

    def step(self) -> None:
        steps = (
            self.flow,
            self.attach,
            self.say_data,
            self.say_data,
            self.say_other,
            self.say_end,
            self.send,
            self.consume,
            self.upload,
            self.cut,
            self.finish,
            self.receipt,
            self.wait,
        )
        self.choices.pick(steps)()

    def attach(self) -> None:
        at, choices, stream = self.choices.below(3), self.choices, self.stream
        inv, epoch = stream.pair
        self.sids[at] = choices.near(self.sids[at] + 1, low=1, high=2**31)
        frame = Attach(
            self.sids[at],
            choices.pick((XID, XID, XID, OTHER)),
            choices.near(max(inv, 1), inv + 1, low=1),
            choices.near(epoch + 1, low=1),
            "token",
            choices.pick((SECRET, SECRET, SECRET, OTHER)),
            lo=choices.near(0, self.acked, stream.position),
            hi=choices.near(stream.position, stream.position + 9),
            flags=choices.below(8),
            req_recv=choices.near(0, self.upload_at),
            req_max=choices.near(self.upload_at + 50, 0),
        )
        self.receive(at, frame)

    def flow(self) -> None:
        """What an honest function does: it attaches, gives a head, and fills the credit, or so."""
        if self.stream.bound not in self.connections:
            inv, epoch = self.stream.pair
            self.sids[0] += 1
            held, taken = self.stream.position, self.upload_at
            flags = AttachFlag.HEAD_SENT
            pair = max(inv, 1), epoch + 1
            numbers = (held, held, flags, taken, taken + 50)
            self.receive(0, Attach(self.sids[0], XID, *pair, "token", SECRET, *numbers))
        at = self.speaker()
        if not self.heads:
            self.receive(at, Head(self.sids[at] or 1, 200, ()))
        self.say_data()

    def say_data(self) -> None:
        at = self.speaker()
        sid, held = self.sids[at] or 1, self.stream.position
        self.receive(at, made.data(self.choices, sid, held, 0, credit=self.told))

    def say_end(self) -> None:
        at = self.speaker()
        self.receive(at, made.end(self.choices, self.sids[at] or 1, bytes(self.body)))

    def say_other(self) -> None:
        at, choices = self.speaker(), self.choices
        sid = self.sids[at] or 1
        how = choices.below(4)
        if how == 0:
            head = choices.pick(made.HEADS)
            self.receive(at, Head(sid, head.status, head.headers))
        elif how == 1:
            maximum = choices.near(self.upload_at + 50, self.credit)
            self.receive(at, Window(sid, choices.near(self.upload_at, 0), maximum))
        elif how == 2:
            self.receive(at, EndAck(sid, choices.near(self.uploaded)))
        else:
            self.receive(at, made.any_frame(choices, sid))

    def speaker(self) -> int:
        """The bound connection mostly, else any."""
        if self.choices.byte() < 200 and self.stream.bound in self.connections:
            return self.connections.index(self.stream.bound)
        return self.choices.below(3)

    def send(self) -> None:
        bound = self.stream.bound
        frames = self.stream.frames_to_send(self.now)
        assert bound is not None or not frames
        for frame in frames:
            self.check_sent(frame)
        if self.stream.over and bound in self.connections:
            at = self.connections.index(bound)
            self.connections[at].release(self.sids[at], self.now)
            self.stream.detach(bound)

    def consume(self) -> None:
        if self.choices.flag():
            self.stream.grow(self.choices.near(600, high=MAX_WINDOW))
        held = self.stream.position - self.consumed
        count = min(held, self.choices.below(256))
        self.stream.consumed(count)
        self.consumed += count

    def upload(self) -> None:
        if self.upload_finished:
            return
        if self.choices.byte() > 200:
            self.upload_finished = True
            self.stream.finish_upload()
            return
        accepted = self.stream.upload(made.PATTERN[self.uploaded :][: self.choices.below(64)])
        self.uploaded += accepted
        assert self.uploaded <= self.credit, "accepted beyond the function's credit"

    def cut(self) -> None:
        self.close(self.choices.below(3))

    def finish(self) -> None:
        if self.choices.flag():
            self.stream.cancel(CancelCode.CLIENT_GONE, "x" * self.choices.below(400))
        else:
            self.stream.terminate(self.choices.pick((RejectCode.TERMINAL, RejectCode.CANCELLED)))

    def receipt(self) -> None:
        choices, position = self.choices, self.stream.position
        at = choices.near(position, 0, high=3000)
        tail = made.PATTERN[at : at + choices.below(256)]
        whole = bytes(self.body)[:at] + tail
        receipt = Receipt(
            choices.pick((XID, XID, OTHER)).hex(),
            choices.near(max(self.stream.pair[0], 1), low=1),
            choices.pick(("end", "end", "reset", "lost")),
            choices.pick((None, 1, 99)),
            choices.near(len(whole)),
            choices.near(crc32(whole), high=2**32 - 1),
            head=choices.pick((None, (200, ()), (200, ((b"a", b"\r"),)))),
            tail=choices.pick(((at, tail), None)),
        )
        self.by_receipt = max(self.by_receipt, at + len(tail))
        try:
            for record in self.stream.apply_receipt(receipt):
                self.take(record)
        except StreamFailed:
            assert self.stream.failed is not None

    def wait(self) -> None:
        self.now += self.choices.pick((0.05, 0.2, 6.0, 400.0))
        for at, connection in enumerate(self.connections):
            try:
                connection.handle_timer(self.now)
            except RemoteProtocolError:
                self.close(at)

    # ------------------------------------------------------------ as the pump does it

    def receive(self, at: int, frame: Frame) -> None:
        connection = self.connections[at]
        try:
            read = made.carried(frame)
            assert read is not None
            wanted = connection.receive(read, self.now)
            if isinstance(wanted, Attach):
                self.answer(at, wanted)
            elif wanted is not None and not isinstance(wanted, Park):
                bound = self.stream.bound
                record = self.stream.receive(connection, wanted, self.now)
                assert record is None or bound is connection, "a fenced connection was heard"
                self.note_credit(wanted, heard=bound is connection)
                self.take(record)
        except RemoteProtocolError:
            self.close(at)

    def answer(self, at: int, frame: Attach) -> None:
        connection, pair = self.connections[at], self.stream.pair
        answer = self.stream.attach(frame, connection, self.now)
        made.carried_unchanged(answer)
        if isinstance(answer, Reject):
            assert self.stream.pair == pair
            connection.refuse(answer, self.now)
            return
        assert (frame.inv, frame.epoch) > pair, "an older attach was accepted"
        assert frame.xid == XID
        connection.accept(frame.sid, self.now)
        self.credit = max(self.credit, frame.req_max)
        self.upload_at = frame.req_recv
        self.check_attached(answer)

    def check_attached(self, answer: Attached) -> None:
        assert (answer.recv, answer.crc) == (len(self.body), crc32(self.body))
        assert answer.max >= self.told, "credit was taken back"
        self.told = answer.max

    def close(self, at: int) -> None:
        self.stream.detach(self.connections[at])
        self.connections[at] = GatewayConnection(made.LIMITS, self.now)
        self.sids[at] = 0

    def note_credit(self, frame: Frame, *, heard: bool) -> None:
        if heard and isinstance(frame, Window):
            self.credit = max(self.credit, frame.max)

    # ------------------------------------------------------------ what must hold

    def take(self, record: Record | None) -> None:
        if record is None:
            return
        assert not self.closed, f"after the end: {record}"
        match record:
            case Head():
                self.heads += 1
                assert self.heads == 1
                require_safe(record.status, record.headers)
            case Data():
                assert self.heads
                assert record.offset == len(self.body), "bytes lost or doubled"
                self.body += record.data
                assert len(self.body) <= max(self.told, self.by_receipt), (
                    "bytes beyond the credit were taken"
                )
            case End():
                assert self.heads
                assert (record.final, record.crc) == (len(self.body), crc32(self.body))
                self.closed = True
            case Reset():
                self.closed = True

    def check_sent(self, frame: Frame) -> None:
        made.carried_unchanged(frame)
        match frame:
            case Window():
                assert self.acked <= frame.ack <= self.consumed, "acknowledged, but not consumed"
                assert self.told <= frame.max <= frame.ack + MAX_WINDOW
                self.acked, self.told = frame.ack, frame.max
            case EndAck():
                assert self.stream.ended
                assert frame.final == self.stream.position
            case Data():
                assert frame.offset == self.upload_at
                assert frame.data == made.PATTERN[frame.offset :][: len(frame.data)]
                self.upload_at += len(frame.data)
                assert self.upload_at <= self.credit, "sent beyond the function's credit"
            case End():
                assert self.upload_finished
                sent = made.PATTERN[: self.uploaded]
                assert (frame.final, frame.crc) == (len(sent), crc32(sent))
                assert self.upload_at == self.uploaded, "END before the last byte"
            case _:
                assert isinstance(frame, Cancel)
                assert self.stream.cancelled is not None

    def _counters(self) -> tuple[int, ...]:
        stream = self.stream
        return (stream.position, stream.dropped, stream.errors, stream.duplicates, *stream.pair[:1])

    def require_order(self) -> None:
        after = self._counters()
        assert all(new >= old for new, old in zip(after, self.before, strict=True))
        self.before = after
        stream = self.stream
        assert self.consumed <= stream.position <= max(self.told, self.by_receipt)
        if stream.terminal is None:
            assert stream.position == len(self.body)
        assert stream.position >= len(self.body)
        assert stream.failed is None or stream.terminal is not None
        deadline = stream.next_deadline()
        assert deadline is None or stream.bound is not None
