"""A function's end of a connection with TLS, and OpenSSL at the other one, on a real socket."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from typing_extensions import override

from lambda_client.tls_transport import TlsTransport
from lambda_client.transport import TcpTransport, Transport
from tests.certificates import serving, trusting
from tests.lambda_client.gateway import eventually
from tests.patience import PATIENCE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from lambda_client.reactor import Reactor

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: a close is a reset."""

SMALL = 16 * 1024
"""Bytes that a socket holds."""

MUCH = bytes(range(251)) * 1600
"""More than any two sockets hold."""


class User:
    """Notes what it is told, and does what the test wants then."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.read = b""
        self.why: Exception | None = None
        self.on: dict[str, Callable[[Transport], object]] = {}
        self.transport: Transport

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if what in self.on:
            self.on[what](self.transport)

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        transport.set_high_water(1000)
        self._tell("made")

    def data_received(self, data: bytes) -> None:
        self.read += data
        if self.told[-1] != "data":
            self._tell("data")

    def has_read(self, last: bytes) -> bool:
        return self.read.endswith(last)

    def eof_received(self) -> None:
        self._tell("eof")

    def pause_writing(self) -> None:
        self._tell("pause")

    def resume_writing(self) -> None:
        self._tell("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.why = exc
        self._tell("lost")


class Counting(TlsTransport):
    """Counts what comes, whatever it is."""

    reads = 0

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.reads += 1

    def has_read(self, number: int) -> bool:
        return self.reads >= number


class Line:
    """A function's end and the peer's, before a word was said."""

    def __init__(self, reactor: Reactor, near: socket.socket, far: socket.socket) -> None:
        self.user = User()
        self.near, self.far = near, far
        self._reactor = reactor

    def begin(self, *, tls: bool = True) -> None:
        user = TlsTransport(trusting(), "localhost", self.user) if tls else self.user
        self.do(TcpTransport(self._reactor, self.near, user).start)

    def do(self, what: Callable[[], object]) -> None:
        self._reactor.call_soon_threadsafe(what)

    def secure(self) -> ssl.SSLSocket:
        """The peer's end, once hands are shaken."""
        self.begin()
        made = serving().wrap_socket(self.far, server_side=True, suppress_ragged_eofs=False)
        eventually(lambda: self.user.told)
        return made

    def open(self, *, tls: bool) -> socket.socket:
        """The peer's end, once it is told of."""
        if tls:
            return self.secure()
        self.begin(tls=False)
        eventually(lambda: self.user.told)
        return self.far

    def ended(self) -> list[str]:
        """What the user was told in all."""
        eventually(lambda: "lost" in self.user.told)
        eventually(lambda: self.near.fileno() < 0)
        return self.user.told


@contextmanager
def connected(reactor: Reactor) -> Iterator[Line]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    far.settimeout(PATIENCE)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    near.setblocking(False)
    made = Line(reactor, near, far)
    with far:
        yield made
        far.close()
        made.ended()
    assert made.user.told.count("lost") == 1
    assert made.user.told[-1] == "lost"
    assert not reactor._watches
