"""Opening one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.uri import parse_uri

from lambda_client.connection import Connection
from lambda_client.tls_transport import TlsTransport
from lambda_client.transport import TcpTransport
from lambda_client.trust import client_context
from protocol.limits import ATTACH_PATH

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lambda_client.event_loop import Handle
    from lambda_client.loop import Io
    from protocol.limits import Limits

REFUSED_FOR_GOOD = frozenset({301, 302, 303, 307, 308, 400, 401, 403, 404})
"""HTTP statuses of an upgrade that the same question will get again. Redirects are not followed: the token is
for nobody but whom the envelope names, and might go on without TLS."""

SHOWN_MAX = 200
"""Characters of a refusal's body that are shown: a gateway says why in a sentence, a proxy in a page."""


class DialError(Exception):
    """No connection could be opened; the text says at which URL and why.

    Attributes:
        why: it without the URL.
        final: asking the same address again is of no use.
        retry_after: seconds that the gateway asked to wait; 0 when it did not.
    """

    def __init__(self, url: str, why: str, *, final: bool = False, retry_after: float = 0) -> None:
        super().__init__(f"could not dial back to {url}: {why}")
        self.why = why
        self.final = final
        self.retry_after = retry_after


class Dial:
    """One attempt under way. What becomes of it may concern somebody else by then.

    Attributes:
        url: where to.
        tell: who hears of its end.
    """

    def __init__(self, io: Io, url: str, token: str, limits: Limits, seconds: float) -> None:
        """Begin, within a turn.

        Args:
            io: where the connection will live.
            url: a callback URL; the attach path is appended.
            token: shown to the gateway.
            limits: what messages may come before the gateway has said its own.
            seconds: how long it may take.
        """
        self.url = url
        self.tell: Callable[[Connection | DialError], None] = _discard
        self._io = io
        self._token = token
        self._limits = limits
        self._connecting: Handle | None = None
        self._connection: Connection | None = None
        self._tcp: TcpTransport | None = None
        self._over = False
        self._timer = io.loop.call_later(seconds, lambda: self._fail(TimeoutError()))
        io.loop.call_soon(lambda: self._begin(seconds))  # whoever dials says first whom to tell

    def drop(self) -> None:
        """Nobody needs it any more."""
        self.tell = _discard
        self._fail(ConnectionAbortedError())

    # ------------------------------------------------------------ step by step

    def _begin(self, seconds: float) -> None:
        if self._over:
            return
        try:
            uri = parse_uri(self.url.rstrip("/") + ATTACH_PATH)
            self._tls = client_context() if uri.secure else None
        except (InvalidURI, ValueError) as error:
            self._fail(error)
            return
        self._uri = uri
        self._connecting = self._io.connect(uri.host, uri.port, seconds, self._on_socket)

    def _on_socket(self, found: socket.socket | Exception) -> None:
        if isinstance(found, Exception):
            self._fail(found)
            return
        loop = self._io.loop
        made = Connection(loop, self.url, self._uri, self._token, self._limits, self._on_opened)
        try:
            user = made if self._tls is None else TlsTransport(self._tls, self._uri.host, made)
        except ValueError as error:  # a name that no certificate can have
            found.close()
            self._fail(error)
            return
        self._connection = made
        self._tcp = TcpTransport(loop, found, user)
        self._connecting = None  # only now: whatever breaks this off before, it closes the socket
        self._io.live.add(self._tcp)
        self._tcp.start()

    def _on_opened(self, error: Exception | None) -> None:
        if error is not None:
            self._fail(error)
            return
        connection = self._finish()
        if connection is not None:
            self.tell(connection)

    def _fail(self, error: Exception) -> None:
        if self._over:
            return
        connection = self._finish()
        if connection is not None:
            connection.closed = True
        if self._tcp is not None:  # which the connection knows only once it is open
            self._tcp.abort()
        self.tell(_dial_error(self.url, error, self._token))

    def _finish(self) -> Connection | None:
        self._over = True
        self._timer.cancel()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        return self._connection


def _discard(outcome: Connection | DialError) -> None:
    if isinstance(outcome, Connection):
        outcome.abort()


def _dial_error(url: str, error: Exception, token: str) -> DialError:
    if isinstance(error, InvalidStatus):
        answer = error.response
        why = f"HTTP {answer.status_code}"
        if answer.body:  # whoever answers may repeat what it was asked, and this is logged
            said = bytes(answer.body).decode(errors="replace").replace(token, "(token)")
            why += f": {said[:SHOWN_MAX]}"
        final = answer.status_code in REFUSED_FOR_GOOD
        after = answer.headers.get("Retry-After", "")
        seconds = float(after) if after.isascii() and after.isdecimal() else 0.0
        return DialError(url, why, final=final, retry_after=seconds)
    if isinstance(error, TimeoutError):
        return DialError(url, "no answer in time")
    # A URL, name or certificate that is not valid will not be valid the next time.
    return DialError(url, str(error), final=isinstance(error, InvalidURI | ValueError))
