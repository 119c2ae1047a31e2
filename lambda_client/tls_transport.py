"""TLS on one connection (RFC 8446), from the side that dials: a transport upon a transport.

All of it happens in memory, in the call that brings bytes: `ssl` itself touches no socket here, so any
thread may have the turn.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambda_client.transport import Transport, User

PLAIN_SIZE = 64 * 1024
"""At most so much is decrypted at once; one record holds 16 KiB."""


class TlsTransport:
    """What uses a TCP transport, and is one to its own user once hands are shaken."""

    def __init__(self, context: ssl.SSLContext, host: str, user: User) -> None:
        """Wait for the TCP connection.

        Args:
            context: whose certificates are believed.
            host: the name that the certificate must have.
            user: told of nothing but the end if the handshake fails.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._user = user
        self._tcp: Transport
        self._shaken = False
        self._closed = False  # nothing is sent, or handed on, any more
        self._why: Exception | None = None

    # ------------------------------------------------------------ what TCP tells

    def connection_made(self, transport: Transport) -> None:
        """Begin the handshake."""
        self._tcp = transport
        self._advance()

    def data_received(self, data: bytes) -> None:
        """Decrypt, and hand on what it is."""
        self._incoming.write(data)
        self._advance()

    def eof_received(self) -> None:
        """TCP ends: with close_notify before it or without, WebSocket has its own goodbye."""
        if self._shaken:
            self._user.eof_received()
        elif self._why is None:
            self._why = ConnectionError("closed in the middle of the TLS handshake")

    def pause_writing(self) -> None:
        """More than the high water waits."""
        if self._shaken:
            self._user.pause_writing()

    def resume_writing(self) -> None:
        """Little enough waits again."""
        if self._shaken:
            self._user.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._user.connection_lost(self._why or exc)

    # ------------------------------------------------------------ inside

    def _advance(self) -> None:
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
                self._flush()
                self._user.connection_made(self)
            while not self._closed and (data := self._tls.read(PLAIN_SIZE)):
                self._user.data_received(data)
            self._end()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLZeroReturnError:
            self._end()
        except ssl.SSLError as error:
            self._why, self._closed = error, True
            self._flush()  # the alert that says why
            self._tcp.close()

    def _end(self) -> None:
        """The peer said that nothing follows."""
        if not self._closed:
            self._user.eof_received()
            self.close()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._tcp.writelines((data,))

    # ------------------------------------------------------------ what the user may do

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Encrypt and send."""
        if self._closed:
            return
        view = memoryview(b"".join(parts))  # else each part would be a record
        while view:
            view = view[self._tls.write(view) :]
        self._flush()

    def set_high_water(self, size: int) -> None:
        """See `Transport`."""
        self._tcp.set_high_water(size)

    def waiting(self) -> int:
        """Return how many bytes the kernel has not taken."""
        return self._tcp.waiting()

    def readable(self) -> bool:
        """See `Transport`."""
        return self._tcp.readable()

    def read(self) -> None:
        """See `Transport`."""
        self._tcp.read()

    def close(self) -> None:
        """Say close_notify, and close once everything is sent."""
        if self._closed:
            return
        self._closed = True
        with suppress(ssl.SSLError):  # it wants to read the peer's
            self._tls.unwrap()
        self._flush()
        self._tcp.close()

    def abort(self) -> None:
        """Close now."""
        self._closed = True
        self._tcp.abort()
