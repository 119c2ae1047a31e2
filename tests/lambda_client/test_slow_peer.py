"""A transport on a real socket whose peer does what peers do."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from lambda_client.transport import TcpTransport, Transport
from tests.lambda_client.gateway import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambda_client.reactor import Reactor

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: a close is a reset."""


class User:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.read = b""

    def connection_made(self, transport: Transport) -> None:
        transport.set_high_water(0)

    def data_received(self, data: bytes) -> None:
        self.read += data

    def eof_received(self) -> None:
        self.told.append("eof")

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")


@pytest.fixture
def peer(reactor: Reactor) -> Iterator[tuple[socket.socket, TcpTransport, User]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    near.setblocking(False)
    user = User()
    transport = TcpTransport(reactor, near, user)
    reactor.call_soon_threadsafe(transport.start)
    with far:
        yield far, transport, user
        reactor.call_soon_threadsafe(transport.abort)
        eventually(lambda: near.fileno() < 0)
    assert user.told.count("lost") == 1
    assert user.told[-1] == "lost"


def test_every_byte_leaves_before_a_close_however_little_the_kernel_takes(
    reactor: Reactor, peer: tuple[socket.socket, TcpTransport, User]
) -> None:
    far, transport, user = peer
    parts = [bytes((number % 251,)) * (number * 37 % 3000) for number in range(400)]

    def send() -> None:
        for at in range(0, len(parts), 7):
            transport.writelines(parts[at : at + 7])
        transport.close()
        transport.writelines((b"thrown away",))

    reactor.call_soon_threadsafe(send)
    read = b"".join(iter(lambda: far.recv(5000), b""))
    assert read == b"".join(parts)
    eventually(lambda: "lost" in user.told)
    assert user.told == ["pause", "lost"]


def test_a_reset_while_bytes_wait_ends_it_once(
    reactor: Reactor, peer: tuple[socket.socket, TcpTransport, User]
) -> None:
    far, transport, user = peer
    reactor.call_soon_threadsafe(lambda: transport.writelines((bytes(8_000_000),)))
    eventually(lambda: "pause" in user.told)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    far.close()
    eventually(lambda: "lost" in user.told)
    assert transport.waiting() == 0
