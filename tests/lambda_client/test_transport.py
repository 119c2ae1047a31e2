"""What becomes of a connection whose peer has left."""

from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING

from lambda_client.reactor import Reactor
from lambda_client.transport import TcpTransport
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from lambda_client.transport import Transport


class User:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def connection_made(self, transport: Transport) -> None: ...

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")


def test_what_a_peer_said_before_it_left_is_read_although_nothing_can_be_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setblocking(False)
    loop, user = Reactor(lambda: None), User()
    transport = TcpTransport(loop, ours, user)
    transport.start()
    theirs.sendall(b"goodbye")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()  # a reset, as of one who was still being sent to
    gone = select.poll()
    gone.register(ours, 0)
    assert gone.poll(PATIENCE * 1000), "the reset came"
    for _ in range(2):
        transport.writelines((b"more",))
    assert user.told == []
    loop._run_turn(sockets=True)
    loop._run_turn(sockets=True)
    loop.hurry()
    assert user.told == [b"goodbye", "lost"]
