"""One connection in memory: TCP as far as its two ends can tell, with every fault at will.

A `Wire` is one connection: two `Pipe`s, one for each direction, with latency, a bounded amount of bytes
on their way, and reads that return as much as chance wills. An `Endpoint` is what asyncio's own socket
transport takes for a socket. Faults are done to a wire: see `Wire.reset`, `hang_up`, `black_hole`,
`stall`, and `Cut`, which does one of them after an exact number of bytes.
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.shadow import SocketView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.simulation.loop import VirtualLoop
    from tests.simulation.network import Network

Address = tuple[str, int]

KEEPALIVE = 90.0
"""Seconds until a kernel that probes an idle connection gives it up (see gateway.sockets)."""

RETRANSMIT = 924.0
"""Seconds for which a kernel repeats bytes that nobody acknowledges (Linux, tcp_retries2 = 15)."""

SEGMENT = 1460
"""Bytes of room from which on a full pipe is writable again: as with TCP, a reader that took one byte does
not get the next one alone, and so on to the end (the silly window)."""


@dataclass
class Cut:
    """A fault at an exact place.

    Attributes:
        client: cut what the client of the connection sends; else what the server sends.
        after: bytes that still go through.
        how: name of the `Wire` method that is called then.
    """

    client: bool
    after: int
    how: str


_SEVERING = frozenset({"reset", "hang_up", "black_hole"})
"""Cuts behind which not a byte goes through in their direction."""


class Pipe:
    """One direction of a wire.

    Attributes:
        pushed: bytes that the sender's kernel took so far.
        lost: nothing arrives any more.
        severed: what is sent from now on does not arrive; what was sent does.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.pushed = 0
        self.flying = 0
        self.arrived = bytearray()
        self.flights: deque[bytes | None] = deque()  # None: FIN
        self.last_arrival = 0.0
        self.progress = 0.0
        self.lost = False
        self.severed = False
        self.cut: Cut | None = None

    @property
    def room(self) -> int:
        return self.capacity - self.flying - len(self.arrived)


class Endpoint:
    """One end of a wire: a kernel's socket, as asyncio's transport uses it."""

    family, type, proto = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP

    def __init__(self, wire: Wire, loop: VirtualLoop, name: str) -> None:
        self.wire = wire
        self.loop = loop
        self.name = name
        self.peer: Endpoint
        self.out: Pipe
        self.inn: Pipe
        self.user_timeout = RETRANSMIT
        self.keepalive = False
        self.reads = 1 << 30  # bytes at a time, at most
        self.error: OSError | None = None
        self.eof = False
        self.closed = False
        self.view = SocketView(self)
        self._fd = wire.network.next_descriptor()
        self._shut = False
        self._blocked = False
        self._linger = False
        self._watched = False
        loop.sockets.adopt(self)

    # ------------------------------------------------------------ the socket

    def fileno(self) -> int:
        return self._fd

    def getsockname(self) -> Address:
        return ("10.0.0.1", self._fd)

    def getpeername(self) -> Address:
        return ("10.0.0.2", self.peer.fileno())

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._linger = struct.unpack("ii", value) == (1, 0)

    def readiness(self) -> int:
        events = 0
        if self.inn.arrived or self.eof or self.error is not None:
            events |= selectors.EVENT_READ
        if self.out.room >= SEGMENT or self.error is not None:
            events |= selectors.EVENT_WRITE
        return events

    def send(self, data: bytes | bytearray | memoryview) -> int:
        self._check()
        if self._shut:
            raise BrokenPipeError(errno.EPIPE, "broken pipe")
        if not self.out.flying and not self._blocked:
            self.out.progress = self.wire.network.clock.time()
        size = min(len(data), self.out.room)
        self._blocked = size < len(data)
        self._watch()
        if size <= 0:
            raise BlockingIOError
        self.wire.push(self, bytes(data[:size]))
        return size

    def sendmsg(self, buffers: Iterable[bytes | bytearray | memoryview]) -> int:
        """What asyncio writes with from Python 3.12 on."""
        return self.send(b"".join(buffers))

    def recv(self, limit: int, flags: int = 0) -> bytes:
        arrived = self.inn.arrived
        if arrived and flags & socket.MSG_PEEK:
            return bytes(arrived[:limit])
        if not arrived:
            self._check()
            if self.eof:
                return b""
            raise BlockingIOError
        most = min(limit, self.reads, len(arrived))
        data = bytes(arrived[: self.wire.network.piece(most)])
        del arrived[: len(data)]
        if self.peer._blocked and not self.inn.lost:
            self.wire.later(self.peer.poke)
        return data

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        if self.error is None and not self._shut:
            self._shut = True
            self.wire.push(self, None)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.view.close()
        if self.error is None and (self._linger or self.inn.arrived):
            self.wire.tell_reset(self)
        elif self.error is None and not self._shut:
            self._shut = True
            self.wire.push(self, None)

    # ------------------------------------------------------------ what the wire does

    def poke(self) -> None:
        """Something may have changed: have the loop look."""
        self.loop.sockets.poke(self._fd)

    def fail(self, error: OSError) -> None:
        """The kernel gives the connection up."""
        if self.error is None and not self.closed:
            self.error = error
            self.view.hung_up()
            self.poke()

    def take(self, flight: bytes | None) -> None:
        """Something arrived."""
        if flight is None:
            self.eof = True
            self.view.hung_up()
        elif self.closed:
            self.wire.tell_reset(self)
            return
        else:
            self.inn.arrived += flight
        self.poke()

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def _watch(self) -> None:
        """See that bytes which nobody acknowledges end the connection (TCP_USER_TIMEOUT)."""
        if not self._watched:
            self._watched = True
            self.wire.network.clock.call_later(self.user_timeout, self._check_progress)

    def _check_progress(self) -> None:
        self._watched = False
        if self.error is not None or not (self.out.flying or self._blocked):
            return
        late = self.out.progress + self.user_timeout - self.wire.network.clock.time()
        if late > 0:
            self._watched = True
            self.wire.network.clock.call_later(late, self._check_progress)
        else:
            self.fail(TimeoutError(errno.ETIMEDOUT, "connection timed out"))
            self.wire.tell_reset(self)


class Wire:
    """One connection.

    Attributes:
        client: the end that dialled.
        server: the other.
        faulty: something was done to it.
    """

    def __init__(self, network: Network, client: VirtualLoop, server: VirtualLoop) -> None:
        self.network = network
        self.number = len(network.wires) + 1
        self.latency = network.latency()
        self.client = Endpoint(self, client, f"{client.name}#{self.number}")
        self.server = Endpoint(self, server, f"{server.name}#{self.number}")
        self.client.peer, self.server.peer = self.server, self.client
        up, down = Pipe(network.capacity()), Pipe(network.capacity())
        self.client.out = self.server.inn = up
        self.server.out = self.client.inn = down
        self._not_before = 0.0
        self._hung_up = False
        self.faulty = False

    @property
    def open(self) -> bool:
        """Whether an end is left that could notice something."""
        return any(not end.closed and end.error is None for end in (self.client, self.server))

    def cut(self, cut: Cut) -> None:
        """Let a fault happen after so many bytes more."""
        pipe = self.client.out if cut.client else self.server.out
        pipe.cut = Cut(cut.client, pipe.pushed + cut.after, cut.how)

    # ------------------------------------------------------------ faults

    def reset(self) -> None:
        """Both ends get a RST."""
        self._note("reset")
        for end in (self.client, self.server):
            self._deliver_reset(end)

    def hang_up(self) -> None:
        """A box between ends the connection in both directions with a FIN; what is sent is reset."""
        self._note("hung up")
        self._hung_up = True
        for end in (self.client, self.server):
            end.inn.flights.clear()
            end.inn.flying = 0
            end.inn.lost = True
            end.take(None)

    def black_hole(self) -> None:
        """Nothing arrives any more, in either direction, and nobody is told."""
        self._note("black hole")
        self.client.out.lost = self.server.out.lost = True
        self._expect_keepalive()

    def deaf(self) -> None:
        """What the client sends arrives; what the server sends does not."""
        self._note("one way only")
        self.server.out.lost = True

    def forget(self) -> None:
        """A box between has forgotten the connection: whoever uses it next is reset."""
        self._note("forgotten")
        self._hung_up = True
        self.client.out.lost = self.server.out.lost = True

    def stall(self, seconds: float) -> None:
        """Nothing arrives for a while; then everything does."""
        self._note(f"stalls for {seconds:.2f} s")
        self._not_before = self.network.clock.time() + seconds

    def stall_long(self) -> None:
        """Nothing arrives for as long as chance wills: shorter and longer than the timers."""
        self.stall(self.network.chance.choice((0.3, 3.0, 12.0, 25.0)))

    def silence(self) -> None:
        """One end is a frozen machine: its kernel acknowledges nothing, keepalive included."""
        self._expect_keepalive()

    # ------------------------------------------------------------ bytes on their way

    def push(self, sender: Endpoint, flight: bytes | None) -> None:
        """Take what an end sends; None is its FIN."""
        pipe, cut = sender.out, sender.out.cut
        if self._hung_up:
            self.later(lambda: self._deliver_reset(sender))
        pipe.flying += len(flight or b"")
        if pipe.lost or pipe.severed:
            return
        cut_now = flight is not None and cut is not None and pipe.pushed + len(flight) >= cut.after
        if flight is not None:
            if cut_now and cut is not None and cut.how in _SEVERING:
                flight = flight[: cut.after - pipe.pushed]
            pipe.pushed += len(flight)
        self._fly(sender, flight)
        if cut_now and cut is not None:
            pipe.cut, pipe.severed = None, cut.how in _SEVERING
            self.network.clock.call_at(pipe.last_arrival + self.latency, getattr(self, cut.how))

    def _fly(self, sender: Endpoint, flight: bytes | None) -> None:
        pipe = sender.out
        arrival = self.network.clock.time() + self.latency + self.network.jitter()
        pipe.last_arrival = max(pipe.last_arrival, arrival)
        pipe.flights.append(flight)
        self.network.clock.call_at(pipe.last_arrival, self._arrive, sender.peer)

    def later(self, job: Callable[[], object]) -> None:
        """Do something once a signal has crossed the wire."""
        self.network.clock.call_later(self.latency, job)

    def tell_reset(self, teller: Endpoint) -> None:
        """An end sends a RST to the other; it may overtake what is on its way."""
        if not teller.out.lost:
            self.later(lambda: self._deliver_reset(teller.peer))

    def _deliver_reset(self, end: Endpoint) -> None:
        if end.loop.frozen:
            self.network.when_thawed(end.loop, lambda: self._deliver_reset(end))
            return
        end.inn.flights.clear()
        if self.network.chance.random() < 0.5:
            end.inn.arrived.clear()
        end.fail(ConnectionResetError(errno.ECONNRESET, "connection reset by peer"))

    def _arrive(self, end: Endpoint) -> None:
        pipe, now = end.inn, self.network.clock.time()
        if pipe.lost or not pipe.flights:
            return
        if now < self._not_before:
            self.network.clock.call_at(self._not_before, self._arrive, end)
        elif end.loop.frozen:
            self.network.when_thawed(end.loop, lambda: self._arrive(end))
        else:
            flight = pipe.flights.popleft()
            pipe.flying -= len(flight or b"")
            pipe.progress = now
            if flight != b"":
                end.take(flight)

    def _expect_keepalive(self) -> None:
        for end in (self.client, self.server):
            if end.keepalive:
                self.network.clock.call_later(KEEPALIVE, self._keepalive, end)

    def _keepalive(self, end: Endpoint) -> None:
        if end.inn.lost or end.peer.loop.frozen:
            end.fail(TimeoutError(errno.ETIMEDOUT, "connection timed out"))
            self.tell_reset(end)

    def _note(self, what: str) -> None:
        self.faulty = True
        self.network.note(f"{self.client.name}-{self.server.name}", what)
