"""From aiohttp's request to ours: raw path and query, raw headers, a body that is read on demand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

from gateway.edge.pace import Pace
from gateway.edge.trace import with_trace
from gateway.errors import ClientBodyError, RequestBodyTooLarge, UploadTooSlow
from gateway.messages import EdgeRequest
from protocol.headers import strip_hop_by_hop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.edge.client_request import ClientRequest
    from gateway.edge.origin import Origin, Proxies

_BODY_FAILURES = (
    web.RequestPayloadError,
    ClientPayloadError,
    HttpProcessingError,
    ConnectionError,
)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class StreamedBody:
    """The bytes of one request, as `gateway.messages.RequestBody`, over aiohttp's reader.

    ``100 Continue`` goes out when the body is first asked for, so a client that waits for it never
    sends a body that is refused by its length alone (RFC 9110 section 10.1.1).

    Args:
        request: whose body it is.
        head_sent: whether the response has begun: too late for an interim response.
        grace: seconds that the client may keep its reader waiting before its rate counts.

    Attributes:
        length: Content-Length in bytes; None for chunks of unknown total.
        most: bytes that it may have; None: any number.
    """

    def __init__(self, request: ClientRequest, head_sent: Callable[[], bool], grace: float) -> None:
        self._request = request
        self._head_sent = head_sent
        self._reader = request.content
        self.length = length_of(request) if request.has_body else 0
        self._wants_continue = (
            self.length != 0
            and request.version >= (1, 1)
            and request.headers.get("Expect", "").lower() == "100-continue"
        )
        self._ahead = b""
        self._came = 0
        self.most: int | None = None
        self._pace: Pace | None = None
        self._grace = grace

    @property
    def complete(self) -> bool:
        """Whether the client has sent all of it, read or not."""
        return self._reader.is_eof()

    @property
    def awaits_continue(self) -> bool:
        """Whether the client may be holding the body back until it is told to go on."""
        return self._wants_continue

    async def read_up_to(self, limit: int) -> tuple[bytes, bool]:
        """Read at most `limit` bytes; see `gateway.messages.RequestBody`."""
        if limit <= 0:
            return b"", self.length == 0
        parts: list[bytes] = []
        while piece := await self._next():
            parts.append(piece[:limit])
            if len(piece) > limit:
                self._ahead = piece[limit:]
                return b"".join(parts), False
            limit -= len(piece)
        return b"".join(parts), True

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what `read_up_to` left unread; see `gateway.messages.RequestBody`."""
        while piece := await self._next():
            yield piece

    async def discard(self, limit: int | None) -> bool:
        """Throw away what is unread, if that is at most `limit` bytes; tell whether it was."""
        self._wants_continue = False  # the final answer is out
        self.most = None
        thrown = 0
        while limit is None or thrown <= limit:
            piece = await self._next()
            if not piece:
                return True
            thrown += len(piece)
        return False

    async def _next(self) -> bytes:
        """Return what has arrived, waiting for the first byte of it; empty at the end."""
        if self._ahead:
            piece, self._ahead = self._ahead, b""
            return piece
        if self._wants_continue:
            self._send_continue()
        if self._reader.at_eof():
            return b""
        pace = self._pace = self._pace or Pace(self._grace, self._on_too_slow)
        pace.wait()
        try:
            if self.length is None:
                piece = await self._reader.readany()
            else:
                piece, _ = await self._reader.readchunk()
        except UploadTooSlow:
            raise
        except _BODY_FAILURES as error:
            raise ClientBodyError(f"{type(error).__name__}: {error}") from error
        pace.came(len(piece))
        self._came += len(piece)
        if self.most is not None and self._came > self.most:
            raise RequestBodyTooLarge.over(self.most)
        return piece

    def close(self) -> None:
        """Nobody reads it any more."""
        if self._pace is not None:
            self._pace.close()
            self._pace = None
            if (failure := self._reader.exception()) is not None:
                failure.__traceback__ = None  # its frames hold the reader, which holds it: a circle

    def _on_too_slow(self) -> None:
        self._reader.set_exception(UploadTooSlow("less than 1,000 bytes a second"))

    def _send_continue(self) -> None:
        self._wants_continue = False
        transport = self._request.transport
        if transport is not None and not self._head_sent() and not self._reader.is_eof():
            transport.write(_CONTINUE)


def length_of(request: ClientRequest) -> int | None:
    """Return how long a body says that it is, in bytes; None if it is in chunks."""
    if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        return None
    # Python reads no number of more than 4,300 digits, and a header may hold more zeros.
    return int(request.headers.get("Content-Length", "0").lstrip("0") or "0")


def read_request(
    request: ClientRequest, body: StreamedBody, proxies: Proxies, exchange_id: str
) -> EdgeRequest:
    """Return what aiohttp parsed in our own words.

    Args:
        request: what aiohttp parsed.
        body: of it.
        proxies: whose word counts.
        exchange_id: what a trace that begins here is named after.
    """
    target, connection = request.raw_path, request.connection
    path, query = split_target(target)
    before = connection.headers_before
    # Most requests of a connection have the same headers. Another target than a path may name a host of its own.
    if before is not None and before[0] == request.raw_headers and target.startswith("/"):
        origin = before[1]
    else:
        origin = _origin(request, proxies)
        if target.startswith("/"):
            connection.headers_before = request.raw_headers, origin
    headers, trace_id = with_trace(origin.headers, exchange_id, time.time())
    return EdgeRequest(
        method=request.method,
        path=path,
        query=query,
        headers=headers,
        version=f"HTTP/{request.version.major}.{request.version.minor}",
        scheme=origin.scheme,
        client_address=origin.address,
        trace_id=trace_id,
        body=body,
    )


def _origin(request: ClientRequest, proxies: Proxies) -> Origin:
    received = [(name.lower(), value) for name, value in request.raw_headers]
    host = authority_of(request.raw_path)
    if host is not None:  # RFC 9112 section 3.2.2: then it counts, and Host does not
        received = [(name, host if name == b"host" else value) for name, value in received]
    connection = request.connection
    return proxies.origin(connection.peer, connection.scheme, strip_hop_by_hop(received))


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into path and query, still percent-encoded.

    An absolute-form target (RFC 9112 section 3.2.2) loses its scheme and authority. Bytes outside
    ASCII, which a URI may not hold but some clients send, are percent-encoded as browsers do.
    """
    if not target.isascii():
        target = quote(target.encode("utf-8", "surrogateescape"), safe=_URI_CHARACTERS)
    head, _, query = target.partition("?")
    if not head.startswith("/") and "://" in head:
        head = "/" + head.partition("://")[2].partition("/")[2]
    return head, query


def authority_of(target: str) -> bytes | None:
    """Return the host that an absolute-form target names, or None for any other target."""
    if target.startswith("/"):
        return None
    scheme, found, rest = target.partition("?")[0].partition("://")
    return rest.partition("/")[0].encode("utf-8", "surrogateescape") if scheme and found else None


_URI_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))
