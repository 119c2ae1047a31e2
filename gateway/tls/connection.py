"""The server side of TLS on one connection, between a TCP transport and any protocol.

asyncio and uvloop each have their own; neither tells how much the TCP transport beneath still holds, or
lets its user end by a half-close. The edge stands on both: what a client has taken is what the function
may forget, and a response that breaks off must never look ended. So here every byte waits in the one
place that tells, the TCP transport, and how a connection ends is said by whoever ends it:

* `close` says close_notify, then FIN: a clean end (RFC 8446 section 6.1). The peer's own is not waited for.
  Of a connection that is `truncated` it says nothing: close_notify is what tells an end from a cut.
* `write_eof` says the same and leaves the socket open for what the peer is still sending; nobody reads it.
* `abort` says neither: whatever the peer holds is cut off, and it can tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.tls.handshakes import Handshakes

log = logging.getLogger("dialback.tls")

HANDSHAKE_SECONDS = 10.0
"""From TCP connection to finished handshake: two round trips and some arithmetic. Whoever takes longer
holds a socket for nothing; 10 s are what Envoy and HAProxy users set."""

READ_SIZE = 256 * 1024
"""At most so much is decrypted at once; one record holds 16 KiB."""

_PLAIN_HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
_ADVICE = b'{"error":"this port speaks TLS: write https:// or wss://"}\n'
_TO_PLAIN_HTTP = _PLAIN_HTTP + b"Content-Length: %d\r\n\r\n" % len(_ADVICE) + _ADVICE


class TlsConnection(asyncio.Protocol):
    """What a TCP transport talks to: shakes hands, then hands plain bytes to a protocol of its own.

    Args:
        factory: makes that protocol, once hands are shaken.
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
        self._factory = factory
        self._name = name
        self._handshakes = handshakes
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._raw: asyncio.Transport
        self._peer = ""
        self._inner: asyncio.Protocol | None = None
        self._transport: TlsTransport
        self._timer: asyncio.TimerHandle | None = None
        self._heard = False

    # ------------------------------------------------------------ what the TCP transport calls

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast("asyncio.Transport", transport)
        # It may have broken off before it was accepted: then nobody knows who it was.
        self._peer = (transport.get_extra_info("peername") or ("an unknown client",))[0]
        self._transport = TlsTransport(self._raw, self._tls, self._outgoing)
        if not self._handshakes.begin(self, transport):
            self._raw.abort()
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(HANDSHAKE_SECONDS, self._on_too_slow)

    @override
    def data_received(self, data: bytes) -> None:
        if self._transport.deaf:
            return
        self._heard = True
        self._incoming.write(data)
        try:
            if self._inner is None and not self._shake_hands():
                return
            received, ended = self._read()
        except ssl.SSLError as error:
            self._fail(error)
            return
        assert self._inner is not None  # noqa: S101 - hands are shaken
        if received:
            self._inner.data_received(received)
        if ended:
            self.eof_received()

    @override
    def eof_received(self) -> None:
        """The peer says nothing more, by close_notify or by FIN alone; HTTP has its own ends of bodies."""
        if self._inner is not None:
            self._inner.eof_received()
        self._transport.close()

    @override
    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    @override
    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None and self._heard:
            self._log_failure("the client broke it off: it may not trust the certificate")
        self._done_shaking()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def give_way(self) -> None:
        """Break off the handshake."""
        self._done_shaking()
        self._raw.abort()

    # ------------------------------------------------------------ inside

    def _shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._transport.flush()
            return False
        self._done_shaking()
        self._transport.flush()
        self._inner = cast("asyncio.Protocol", self._factory())
        self._inner.connection_made(self._transport)
        return True

    def _read(self) -> tuple[bytes, bool]:
        """Decrypt what is there; return it, and whether the peer said that nothing follows."""
        parts: list[bytes] = []
        try:
            while True:
                part = self._tls.read(READ_SIZE)
                if not part:
                    return b"".join(parts), True
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except ssl.SSLZeroReturnError:
            return b"".join(parts), True

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


class TlsTransport(asyncio.Transport):
    """What the protocol above writes to. Every byte goes down in the call that brings it.

    Attributes:
        deaf: what the peer still sends is thrown away.
        truncated: the peer did not get all: no end of this connection says close_notify.
    """

    def __init__(self, raw: asyncio.Transport, tls: ssl.SSLObject, outgoing: ssl.MemoryBIO) -> None:
        super().__init__()
        self._raw = raw
        self._tls = tls
        self._outgoing = outgoing
        self._closing = False
        self.deaf = False
        self.truncated = False

    def flush(self) -> None:
        """Hand what was encrypted to the TCP transport."""
        data = self._outgoing.read()
        if data:
            self._raw.write(data)

    # ------------------------------------------------------------ writing

    @override
    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.is_closing() or self.deaf:
            return
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        self.flush()

    @override
    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.write(b"".join(list_of_data))  # else each part would be a record

    @override
    def can_write_eof(self) -> bool:
        return True

    @override
    def write_eof(self) -> None:
        if not self.is_closing() and not self.deaf:
            self._say_goodbye()
            self.deaf = True
            self._raw.write_eof()

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    @override
    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._raw.get_write_buffer_limits()

    @override
    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    # ------------------------------------------------------------ reading

    @override
    def is_reading(self) -> bool:
        return self._raw.is_reading()

    @override
    def pause_reading(self) -> None:
        self._raw.pause_reading()

    @override
    def resume_reading(self) -> None:
        self._raw.resume_reading()

    # ------------------------------------------------------------ the rest

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the TCP transport knows, and ``ssl_object`` and ``sslcontext`` beside."""
        if name == "ssl_object":
            return self._tls
        if name == "sslcontext":
            return self._tls.context
        return self._raw.get_extra_info(name, default)

    @override
    def is_closing(self) -> bool:
        return self._closing or self._raw.is_closing()

    @override
    def close(self) -> None:
        if not self.is_closing():
            self._closing = True
            self._say_goodbye()
            self._raw.close()

    @override
    def abort(self) -> None:
        self._closing = True
        self._raw.abort()

    def _say_goodbye(self) -> None:
        if self.deaf or self.truncated:
            return
        with contextlib.suppress(ssl.SSLError):  # it wants to read the peer's
            self._tls.unwrap()
        self.flush()
