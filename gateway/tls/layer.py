"""TLS on one connection, between a TCP transport and any protocol; for either side."""

from __future__ import annotations

import asyncio
import ssl
from abc import abstractmethod
from typing import TYPE_CHECKING, cast

from typing_extensions import override

from gateway.tls.transport import RECORD, TlsTransport

if TYPE_CHECKING:
    from collections.abc import Callable


class TlsLayer(asyncio.Protocol):
    """What a TCP transport talks to: shakes hands, then hands plain bytes to a protocol of its own.

    Args:
        factory: makes that protocol, once hands are shaken.
        context: with the certificate, or what the peer's must be.
        host: whom the peer must prove to be; None on the server's side.
    """

    def __init__(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext,
        host: str | None = None,
    ) -> None:
        self._factory = factory
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=host is None, server_hostname=host
        )
        self._raw: asyncio.Transport
        self._inner: asyncio.Protocol | None = None
        self._transport: TlsTransport
        self._heard = False

    # ------------------------------------------------------------ what the TCP transport calls

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast("asyncio.Transport", transport)
        self._transport = TlsTransport(self._raw, self._tls, self._outgoing)

    @override
    def data_received(self, data: bytes) -> None:
        if self._transport.deaf:
            return
        self._heard = True
        try:
            if self._inner is None:
                self._incoming.write(data)
                if not self._shake_hands():
                    return
                data = b""
            received, ended = self._read(data)
        except ssl.SSLError as error:
            self._fail(error)
            return
        assert self._inner is not None  # noqa: S101 - hands are shaken
        if received:
            self._inner.data_received(received)
        if ended:
            self._end()

    @override
    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    @override
    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def serve(self, protocol: asyncio.Protocol) -> None:
        """Hand plain bytes to this protocol from now on."""
        self._inner = protocol

    # ------------------------------------------------------------ inside

    def _shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._transport.flush()
            return False
        self._shaken()
        self._transport.flush()
        self._inner = cast("asyncio.Protocol", self._factory())
        self._inner.connection_made(self._transport)
        return True

    def _read(self, data: bytes) -> tuple[bytes, bool]:
        """Decrypt what is there, and this; return it, and whether the peer said that nothing follows."""
        parts: list[bytes] = []
        ended = False
        for start in range(0, len(data) or 1, RECORD):
            self._incoming.write(data[start : start + RECORD])
            ended = self._decrypt(parts)
        return b"".join(parts), ended

    def _decrypt(self, parts: list[bytes]) -> bool:
        """Append what can be read; return whether the peer said that nothing follows."""
        try:
            while part := self._tls.read(RECORD):
                parts.append(part)
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            pass
        return True

    def _end(self) -> None:
        """The peer says nothing more."""
        if self._inner is not None:
            self._inner.eof_received()
        self._transport.close()

    @abstractmethod
    def _shaken(self) -> None:
        """Hands are shaken."""

    @abstractmethod
    def _fail(self, error: ssl.SSLError) -> None:
        """What the peer sent is no TLS, or not whom it should prove to be."""
