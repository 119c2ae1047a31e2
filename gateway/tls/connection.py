"""The server side of TLS on one connection of a listener."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from typing_extensions import override

from gateway.tls.layer import TlsLayer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from gateway.tls.handshakes import Handshakes

log = logging.getLogger("dialback.tls")

HANDSHAKE_SECONDS = 10.0
"""From TCP connection to finished handshake: two round trips and some arithmetic. Whoever takes longer
holds a socket for nothing; 10 s are what Envoy and HAProxy users set."""

_PLAIN_HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
_ADVICE = b'{"error":"this port speaks TLS: write https:// or wss://"}\n'
_TO_PLAIN_HTTP = _PLAIN_HTTP + b"Content-Length: %d\r\n\r\n" % len(_ADVICE) + _ADVICE


class TlsConnection(TlsLayer):
    """A connection that somebody else made, whose handshake may be none.

    Args:
        factory: makes the protocol above, once hands are shaken.
        context: with the certificate.
        name: of the listener, for the log.
        handshakes: those that are not done yet, on this listener.
    """

    def __init__(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext,
        name: str,
        handshakes: Handshakes,
    ) -> None:
        super().__init__(factory, context)
        self._name = name
        self._handshakes = handshakes
        self._peer = ""
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # It may have broken off before it was accepted: then nobody knows who it was.
        self._peer = (transport.get_extra_info("peername") or ("an unknown client",))[0]
        if not self._handshakes.begin(self, transport):
            self._raw.abort()
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(HANDSHAKE_SECONDS, self._on_too_slow)

    @override
    def eof_received(self) -> None:
        """The peer says nothing more, by close_notify or by FIN alone; HTTP has its own ends of bodies."""
        self._end()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None and self._heard:
            self._log_failure("the client broke it off: it may not trust the certificate")
        self._done_shaking()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def idle_since(self) -> None:
        """Never: it is a stranger (see `gateway.crowds`) as long as it counts."""

    def give_way(self) -> None:
        """Break off the handshake."""
        self._done_shaking()
        self._raw.abort()

    # ------------------------------------------------------------ inside

    @override
    def _shaken(self) -> None:
        self._done_shaking()

    @override
    def _fail(self, error: ssl.SSLError) -> None:
        self._log_failure(error.reason or str(error))
        if self._inner is not None:  # what was decrypted before may be half of something
            self._raw.abort()
            return
        self._done_shaking()
        if error.reason == "HTTP_REQUEST":
            self._raw.write(_TO_PLAIN_HTTP)
        else:
            self._transport.flush()  # the alert that says why
        self._raw.close()

    def _log_failure(self, why: str) -> None:
        what = "handshake" if self._inner is None else "connection"
        log.info("%s listener: TLS %s with %s failed: %s", self._name, what, self._peer, why)

    def _on_too_slow(self) -> None:
        if self._heard:
            self._log_failure("it took too long")
        self.give_way()

    def _done_shaking(self) -> None:
        self._handshakes.end(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
