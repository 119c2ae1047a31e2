"""The HTTP client of the invoke leg: it keeps connections, and while a call lasts nothing else.

A call lasts as long as its function streams, and there may be thousands. A general client keeps what it
sent, what it is, and what it will need for an answer: 14 KiB for each call, five times what waits here.
aiohttp's parser reads the answers.

Nothing is sent twice: whatever becomes of a call, who made it decides about another.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.deadlines import Deadlines
from gateway.errors import InvokeNotSent
from gateway.invoke.aws.connection import Connection
from gateway.invoke.aws.dial import Dialler

if TYPE_CHECKING:
    from collections.abc import Iterable

CONNECT_SECONDS = 5.0
"""For name, TCP and TLS: the API is in the gateway's own region."""

IDLE_SECONDS = 15.0
"""A pooled connection idle for longer is closed by us: one that AWS closes first would lose a call
about which nobody knows whether it ran."""

_PORTS = {"http": 80, "https": 443}

_NO_BODY_EXPECTED = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods whose requests say nothing of a body that they do not have (RFC 9110 section 8.6)."""


class HttpClient:
    """Every server that the process calls; calls at once are limited by the routes."""

    def __init__(self) -> None:
        self._origins: dict[tuple[str, str, int], Origin] = {}
        self._tls: ssl.SSLContext | None = None

    def origin(self, url: str) -> Origin:
        """Return the server of a URL, whose path does not matter."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        key = parts.scheme, host, parts.port or _PORTS[parts.scheme]
        if key not in self._origins:
            dialler = Dialler(host, key[2], self._context() if parts.scheme == "https" else None)
            self._origins[key] = Origin(_host_header(*key), dialler)
        return self._origins[key]

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def close(self) -> None:
        """End every connection that no call is on."""
        for origin in self._origins.values():
            origin.close()


class Origin:
    """One server, and the connections to it that wait for the next call.

    Args:
        host: as the Host header has it.
        dialler: makes connections.

    Attributes:
        idle: connections that no call is on, the one that was used last at the end.
    """

    def __init__(self, host: str, dialler: Dialler) -> None:
        self._host = host
        self._dialler = dialler
        self._closed = False
        self._patience: dict[int, Deadlines[Connection]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.idle: list[Connection] = []

    async def send(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        *,
        silence: float,
    ) -> Connection:
        """Send a request; `Connection.answer` waits for what comes of it.

        Args:
            method: of the request.
            target: path and query, as they go out.
            headers: without Host and those that frame the body.
            body: of it; may be empty.
            silence: seconds for which the server may say nothing, rounded up to whole ones.

        Raises:
            InvokeNotSent: no connection could be made.
            ValueError: a header would be more than one line.
        """
        head = _head(method, target, self._host, headers, body)
        connection = self._take() or await self._connect()
        connection.begin(head, body, self._watch(silence), bodiless=method == "HEAD")
        return connection

    def _watch(self, silence: float) -> Deadlines[Connection]:
        seconds = math.ceil(silence)
        if seconds not in self._patience:
            self._patience[seconds] = Deadlines(seconds, Connection.keeps_silent)
        return self._patience[seconds]

    def _take(self) -> Connection | None:
        while self.idle:
            connection = self.idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._dialler.dial(lambda: Connection(self._keep))
            if not connection.usable:
                raise ConnectionError("it hung up at once")
            return connection
        except OSError as error:  # TimeoutError among them
            why = str(error) or f"not within {CONNECT_SECONDS:g} s"
            raise InvokeNotSent(f"{self._host} was not reached: {why}") from error

    # ------------------------------------------------------------ connections that wait

    def close(self) -> None:
        """End the connections that no call is on, and those of calls after them."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for patience in self._patience.values():
            patience.close()
        for connection in self.idle:
            connection.close()
        self.idle.clear()

    def _keep(self, connection: Connection) -> None:
        """A call is over, and its connection can have another."""
        if self._closed:
            connection.close()
            return
        self.idle.append(connection)
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self.idle[0].since + IDLE_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        last = asyncio.get_running_loop().time() - IDLE_SECONDS
        while self.idle and (self.idle[0].since <= last or not self.idle[0].usable):
            self.idle.pop(0).close()
        if self.idle:
            self._arm()


def _host_header(scheme: str, host: str, port: int) -> str:
    """Return what SigV4 signs as the host (botocore: without the scheme's own port)."""
    host = f"[{host}]" if ":" in host else host
    return host if port == _PORTS[scheme] else f"{host}:{port}"


def _head(
    method: str, target: str, host: str, headers: Iterable[tuple[str, str]], body: bytes
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method not in _NO_BODY_EXPECTED:
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise ValueError("a header of more than one line")
    return text.encode() + b"\r\n\r\n"
