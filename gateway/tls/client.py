"""The client side of TLS on one connection that was made here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from typing_extensions import override

from gateway.tls.layer import TlsLayer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


class TlsClient(TlsLayer):
    """A connection to a server that must prove its name.

    Args:
        factory: makes the protocol above, once it has.
        context: what its certificate must be.
        host: the name, or an address.
    """

    def __init__(
        self, factory: Callable[[], asyncio.BaseProtocol], context: ssl.SSLContext, host: str
    ) -> None:
        super().__init__(factory, context, host)
        self._proven: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self._cut: Exception | None = None

    async def proven(self) -> None:
        """Wait until the server has proven its name, and the protocol above has its connection.

        Raises:
            OSError: it did not, or broke off.
        """
        if self._proven is not None:
            try:
                await self._proven
            finally:
                self._proven = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._shake_hands()

    @override
    def eof_received(self) -> None:
        """FIN without close_notify: what came may not be all (RFC 8446 section 6.1)."""
        if self._inner is not None:
            self._cut = ConnectionAbortedError("a connection with TLS ended without its end")
        self._raw.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        error = exc or self._cut
        self._settle(error or ConnectionAbortedError("the server broke the TLS handshake off"))
        if self._inner is not None:
            self._inner.connection_lost(error)

    @override
    def _shaken(self) -> None:
        self._settle(None)

    @override
    def _fail(self, error: ssl.SSLError) -> None:
        self._cut = error
        self._settle(error)
        self._transport.flush()  # the alert that says why
        self._raw.abort() if self._inner is not None else self._raw.close()

    def _settle(self, error: Exception | None) -> None:
        if self._proven is None or self._proven.done():
            return
        if error is None:
            self._proven.set_result(None)
        else:
            self._proven.set_exception(error)
            self._proven.exception()  # who gave up meanwhile does not ask: that is no bug to be logged
