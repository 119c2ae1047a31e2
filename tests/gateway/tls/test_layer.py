"""What a connection hands to OpenSSL at once, whose memory buffers never shrink."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from gateway.crowds import Crowd
from gateway.tls.client import TlsClient
from gateway.tls.connection import TlsConnection
from gateway.tls.handshakes import Handshakes
from gateway.tls.transport import RECORD
from tests.certificates import serving, trusting

if TYPE_CHECKING:
    import ssl

SIZE = 16 * RECORD + 1


class Pipe(asyncio.Transport):
    """One end of a connection in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = bytearray()

    @override
    def write(self, data: Any) -> None:
        self.waiting += data

    @override
    def is_closing(self) -> bool:
        return False


class Noting(asyncio.Protocol):
    """Takes what comes."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.came = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self.came += data


class Buffer:
    """A memory buffer, and the most that was ever in it."""

    def __init__(self, real: ssl.MemoryBIO) -> None:
        self._real = real
        self.most = 0

    def write(self, data: Any) -> int:
        written = self._real.write(data)
        self.most = max(self.most, self._real.pending)
        return written

    def read(self) -> bytes:
        self.most = max(self.most, self._real.pending)
        return self._real.read()


async def test_no_more_than_a_record_or_two_are_ever_in_a_buffer() -> None:
    above, below = (Noting(), Noting()), (Pipe(), Pipe())
    server = TlsConnection(lambda: above[0], serving(), "edge", Handshakes(Crowd("edge", 10)))
    client = TlsClient(lambda: above[1], trusting(), "localhost")
    server.connection_made(below[0])
    client.connection_made(below[1])
    buffers = [Buffer(real) for real in (server._incoming, client._outgoing)]
    server._incoming, client._transport._outgoing = buffers  # type: ignore[assignment]

    def pass_on() -> None:
        while any(pipe.waiting for pipe in below):
            for pipe, end in zip(below, (client, server), strict=True):
                data, pipe.waiting = bytes(pipe.waiting), bytearray()
                end.data_received(data)

    pass_on()
    above[1].transport.write(bytes(SIZE))
    pass_on()
    assert above[0].came == bytes(SIZE)
    assert [buffer.most < 3 * RECORD for buffer in buffers] == [True, True]
    server.connection_lost(None)
    client.connection_lost(None)
