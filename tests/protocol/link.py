"""Both ends of the protocol joined in memory: real streams, real connections, real encoded bytes.

A `Link` is one connection. A `Session` is one exchange with everything around it: a handler that
writes a response and reads the upload, a client that takes the response and sends the upload, and
as many links as it takes. Time is a number that jumps to the next deadline when nothing else moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol.codec import decode, encode
from protocol.connection import FunctionConnection, GatewayConnection
from protocol.envelope import Envelope
from protocol.frames import (
    Attach,
    Attached,
    Data,
    End,
    Frame,
    Head,
    Park,
    Reject,
    Reset,
)
from protocol.function_stream import FunctionState, FunctionStream
from protocol.gateway_stream import GatewayStream
from protocol.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

XID = bytes(range(16))
SECRET = b"0123456789abcdef"
LIMITS = Limits()


def envelope(**changes: object) -> Envelope:
    """An envelope whose window and frames are small, so that little data exercises credit."""
    values: dict[str, object] = {
        "xid": XID.hex(),
        "inv": 1,
        "urls": ("ws://gateway",),
        "token": "token",
        "window": 64,
        "max_frame": 4096,
    }
    return Envelope(**(values | changes))  # type: ignore[arg-type]


class StuckError(AssertionError):
    """Nothing moves, no deadline is set, and the exchange has not ended."""


class Pipe:
    """One direction of a connection: messages in flight, and how many bytes it will still carry."""

    def __init__(self, budget: int | None = None) -> None:
        self.budget = budget
        self.carried = 0
        self.ends: list[int] = []  # what was carried when each message had arrived
        self.messages: list[bytes] = []

    def push(self, frames: list[Frame]) -> None:
        """Send frames."""
        self.messages += [encode(frame) for frame in frames]

    @property
    def exhausted(self) -> bool:
        """Whether the connection breaks here: the next message would not arrive whole."""
        if self.budget is None or not self.messages:
            return False
        return self.carried + len(self.messages[0]) > self.budget

    def pop(self) -> Frame | None:
        """Take the next message that arrived whole."""
        if not self.messages or self.exhausted:
            return None
        message = self.messages.pop(0)
        self.carried += len(message)
        self.ends.append(self.carried)
        return decode(message)


class Link:
    """One connection between both ends of a stream."""

    def __init__(
        self,
        function: FunctionStream,
        gateway: GatewayStream,
        *,
        sid: int = 1,
        now: float = 0.0,
        up: int | None = None,
        down: int | None = None,
    ) -> None:
        """`up`: bytes carried from function to gateway before the cut; `down`: the other way."""
        self.function, self.gateway = function, gateway
        self.function_connection = FunctionConnection(LIMITS, now)
        self.gateway_connection = GatewayConnection(LIMITS, now)
        self.up, self.down = Pipe(up), Pipe(down)
        self.sid = sid
        self.records: list[Head | Data | End | Reset] = []
        self.answers: list[Attached | Reject] = []

    def attach(self, now: float = 0.0) -> None:
        """Send ATTACH."""
        self.function_connection.open_stream(self.sid, now)
        self.up.push([self.function.attach(self.sid)])

    def send(self, now: float = 0.0) -> None:
        """Let both ends say what they have to say."""
        self.send_up(now)
        self.send_down(now)

    def send_up(self, now: float = 0.0) -> None:
        """Let the function's end speak."""
        self.up.push(self.function_connection.frames_to_send(now))
        if self.function_connection.active == self.sid:
            self.up.push(self.function.frames_to_send(now))

    def send_down(self, now: float = 0.0) -> None:
        """Let the gateway's end speak."""
        self.down.push(self.gateway_connection.frames_to_send(now))
        if self.gateway.bound is self:
            self.down.push(self.gateway.frames_to_send(now))

    def deliver_up(self, now: float = 0.0) -> int:
        """Hand the gateway what arrived; returns how many frames."""
        count = 0
        while (frame := self.up.pop()) is not None:
            self._gateway_takes(frame, now)
            count += 1
        return count

    def _gateway_takes(self, frame: Frame, now: float) -> None:
        rest = self.gateway_connection.receive(frame, now)
        match rest:
            case None | Park():
                return
            case Attach():
                self._decide(rest, now)
            case _:
                record = self.gateway.receive(self, rest, now)
                if record is not None:
                    self.records.append(record)

    def _decide(self, frame: Attach, now: float) -> None:
        answer = self.gateway.attach(frame, self, now)
        self.answers.append(answer)
        if isinstance(answer, Attached):
            self.gateway_connection.accept(frame.sid, now)
            self.down.push([answer])
        else:
            self.gateway_connection.refuse(answer, now)

    def deliver_down(self, now: float = 0.0) -> int:
        """Hand the function what arrived; returns how many frames."""
        count = 0
        while (frame := self.down.pop()) is not None:
            rest = self.function_connection.receive(frame, now)
            if rest is not None:
                self.function.receive(rest, now)
            count += 1
        return count

    def transfer(self, now: float = 0.0) -> int:
        """Send and deliver until nothing moves any more; returns how many frames were delivered."""
        total = 0
        while True:
            self.send_up(now)
            moved = self.deliver_up(now)
            self.send_down(now)
            moved += self.deliver_down(now)
            total += moved
            if not moved:
                return total

    def drop(self) -> None:
        """Lose what is in flight in both directions."""
        self.up.messages.clear()
        self.down.messages.clear()

    def cut(self) -> None:
        """Break: what is in flight is lost, and both ends notice."""
        self.drop()
        self.function.detach()
        self.gateway.detach(self)

    @property
    def broken(self) -> bool:
        """Whether a pipe reached the end of its budget."""
        return self.up.exhausted or self.down.exhausted


@dataclass
class Session:
    """One exchange from begin to end, over as many links as `budgets` breaks."""

    response: bytes
    upload: bytes | None = None
    #: (up, down) of the first, second, ... link; links after the last never break.
    budgets: list[tuple[int | None, int | None]] = field(default_factory=list)
    window: int = 64
    write_size: int = 23
    #: Bytes that the client takes per turn.
    appetite: int = 17
    #: The gateway learns of a cut only by the next ATTACH; what was in flight arrives after it.
    half_open: bool = False
    #: The handler ends its response only after it read the whole upload.
    reads_all: bool = False
    now: float = 0.0
    received: bytearray = field(default_factory=bytearray)
    uploaded: bytearray = field(default_factory=bytearray)
    links: list[Link] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.function = FunctionStream(
            envelope(window=self.window, body="inline" if self.upload is None else "stream"),
            secret=SECRET,
            limits=LIMITS,
        )
        self.gateway = GatewayStream(
            XID, window=self.window, limits=LIMITS, upload=self.upload is not None
        )
        self.ends = 0
        self.heads = 0
        self._written = self._sent = self._consumed = 0
        self._upload_finished = False

    @property
    def link(self) -> Link:
        """The present connection."""
        return self.links[-1]

    def connect(self) -> None:
        """Open the next link and attach."""
        up, down = (
            self.budgets[len(self.links)] if len(self.links) < len(self.budgets) else (None,) * 2
        )
        sid = len(self.links) + 1
        self.links.append(
            Link(self.function, self.gateway, sid=sid, now=self.now, up=up, down=down)
        )
        self.link.attach(self.now)

    def run(self, turns: int = 5000) -> None:
        """Go on until the function is done and the client has everything."""
        self.connect()
        self.go_on(lambda: self.done, turns)
        self.uploaded += b"".join(self.function.read())

    def go_on(self, until: Callable[[], bool], turns: int = 5000) -> None:
        """Let everybody act, and attach again after every cut, until something holds."""
        for _ in range(turns):
            if until():
                return
            if self.link.broken:
                self._reconnect()
            elif not self.turn() and not (self.done or self.link.broken):
                self._jump()
        raise StuckError("too many turns")

    def _reconnect(self) -> None:
        old = self.link
        if not self.half_open:
            old.cut()
        self.function.detach()
        if self.function.state is FunctionState.DONE:
            return
        self.connect()
        self.link.deliver_up(self.now)
        old.up.budget = None
        old.deliver_up(self.now)
        assert not (old.records and self.gateway.bound is self.link), "fenced, yet it counted"
        self.take_records(old)

    @property
    def done(self) -> bool:
        """Whether the function may return and the client has the whole response."""
        taken = len(self.received) == self._consumed
        return self.function.state is FunctionState.DONE and taken

    def assert_whole(self) -> None:
        """Check that the client has the whole response, once, and the function knows."""
        assert bytes(self.received) == self.response
        assert (self.heads, self.ends) == (1, 1)
        assert self.function.end_acknowledged

    def turn(self) -> bool:
        """Let everybody act once; returns whether anything moved."""
        moved = self._handler_acts() | self._client_acts()
        now, link = self.now, self.link
        link.send_up(now)
        moved |= bool(link.deliver_up(now))
        self.take_records(link)
        link.send_down(now)
        return bool(link.deliver_down(now)) | moved

    def write_on(self) -> None:
        """Let the handler act as long as it can, whatever the network does."""
        while self._handler_acts():
            pass

    def take_records(self, link: Link) -> None:
        """Hand the client what came over a link."""
        for record in link.records:
            match record:
                case Data():
                    assert record.offset == len(self.received)
                    self.received += record.data
                case End():
                    self.ends += 1
                case Head():
                    self.heads += 1
                case Reset():
                    raise AssertionError(record)
        link.records.clear()

    def _handler_acts(self) -> bool:
        function, moved = self.function, False
        if not function.started:
            function.start(200, [(b"content-type", b"text/plain")])
            moved = True
        if function.started and not function.ended:
            chunk = self.response[self._written : self._written + self.write_size]
            accepted = function.write(chunk)
            self._written += accepted
            moved |= accepted > 0
            waits = self.reads_all and not function.upload_ended
            if self._written == len(self.response) and not waits:
                function.end()
                moved = True
        data = b"".join(function.read())
        self.uploaded += data
        return moved or bool(data)

    def _client_acts(self) -> bool:
        taken = min(self.appetite, len(self.received) - self._consumed)
        self._consumed += taken
        self.gateway.consumed(taken)
        return self._upload_acts() or taken > 0

    def _upload_acts(self) -> bool:
        if self.upload is None or self._upload_finished:
            return False
        accepted = self.gateway.upload(self.upload[self._sent : self._sent + self.write_size])
        self._sent += accepted
        if self._sent == len(self.upload):
            self.gateway.finish_upload()
            self._upload_finished = True
        return accepted > 0 or self._upload_finished

    def _jump(self) -> None:
        deadlines = [self.function.next_deadline(), self.gateway.next_deadline()]
        known = [deadline for deadline in deadlines if deadline is not None]
        if not known:
            raise StuckError(
                f"{self.function.state} at {self.gateway.position}, {len(self.links)} links"
            )
        self.now = max(self.now, min(known))
