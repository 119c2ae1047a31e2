"""The HTTP values that the inner rooms speak, free of any web framework.

The edge turns what a browser sends into an `EdgeRequest`, and offers a `ResponseSink` for what goes
back. Nothing further in knows that aiohttp exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from protocol.headers import HeaderList


class RequestBody(Protocol):
    """The bytes of one request, read once, in order."""

    @property
    def length(self) -> int | None:
        """Content-Length in bytes; None when the client sends chunks of unknown total."""
        ...

    async def read_up_to(self, limit: int) -> tuple[bytes, bool]:
        """Read at most `limit` bytes.

        Returns:
            The bytes, and whether they are the whole body. When they are not, the rest comes from
            `chunks()`.

        Raises:
            gateway.errors.ClientBodyError: the client broke off, or sent a malformed body.
            gateway.errors.RequestBodyTooLarge: it turned out to be longer than its route takes.
        """
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield what `read_up_to` left unread, as it arrives.

        Reading only as fast as the consumer asks is what slows the client down.

        Raises:
            gateway.errors.ClientBodyError: the client broke off, or sent a malformed body.
            gateway.errors.RequestBodyTooLarge: it turned out to be longer than its route takes.
        """
        ...


class EdgeRequest(msgspec.Struct, frozen=True):
    """One HTTP request as the edge received it.

    Attributes:
        method: upper case, e.g. ``GET``.
        path: the raw path, still percent-encoded, as it stood on the request line.
        query: the raw query string without ``?``; empty when there was none.
        headers: ordered (lower-case name, value) pairs, repeats kept, as bytes. Hop-by-hop headers
            are gone, and what clients may not say; where it came from and its trace are told.
        version: ``HTTP/1.1`` or ``HTTP/1.0``.
        scheme: ``http`` or ``https``, as the client used it.
        client_address: the client's IP address, as text; a trusted proxy's is not the client's.
        trace_id: value of ``X-Amzn-Trace-Id``.
        body: the request's bytes.
    """

    method: str
    path: str
    query: str
    headers: HeaderList
    version: str
    scheme: str
    client_address: str
    trace_id: str
    body: RequestBody

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header (`name` in lower case), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Served(Protocol):
    """What the access line says of an exchange, beside what the edge knows itself.

    Attributes:
        reason: one word for how it ended.
        note: why, if something went wrong.
        ttfb: seconds until its response began, or None.
        request_bytes: request body bytes that were taken for the function.
        attaches: callbacks that joined.
        calls: how often the function was called.
        request_id: Lambda's, of the last call; empty as long as it is not known.
        returned: whether no call is pending.
        on_return: called when that changes.
    """

    reason: str
    note: str
    ttfb: float | None
    request_bytes: int
    attaches: int
    calls: int
    request_id: str
    returned: bool
    on_return: Callable[[], None] | None

    @property
    def outcome(self) -> str:
        """``completed``, ``failed`` or ``cancelled``."""
        ...


class ResponseSink(Protocol):
    """Where one response goes.

    Order of calls: `begin` once; `write` any number of times, each only while not `blocked`; then
    either `end` (the clean one) or `break_off` (a visibly broken one). After the client left, every
    call is harmless, and the sink stays `blocked`: nothing that is written is taken.

    Attributes:
        exchange: whom the access line is about; the driver sets it.
    """

    exchange: Served | None

    def begin(self, status: int, headers: HeaderList, *, length: int | None) -> None:
        """Send the response head.

        Args:
            status: 200 to 599.
            headers: checked pairs (see `protocol.headers`), hop-by-hop ones already removed.
            length: body length in bytes when known (sent as Content-Length); None for what the headers
                promise, or else chunks.
        """
        ...

    def write(self, parts: Sequence[bytes], *, last: bool = False) -> None:
        """Hand body bytes to the transport at once, without waiting; `parts` travel together.

        Args:
            parts: the bytes.
            last: the body is known to be whole with them, and `end` follows unless the sink is
                `blocked` then. The byte that completes a body of known length is as good as a clean
                end, and else leaves only with `end`.
        """
        ...

    @property
    def blocked(self) -> bool:
        """Whether the transport holds more than it should: await `drained` before writing more."""
        ...

    @property
    def pending(self) -> int:
        """Bytes that the transport holds: fewer than before means that the client takes some."""
        ...

    @property
    def deserted(self) -> bool:
        """Whether the client left before the response had an end of any kind."""
        ...

    def abort(self) -> None:
        """End the connection at once, visibly broken."""
        ...

    async def drained(self) -> bool:
        """Wait until the transport took what it held, or the client left: then False."""
        ...

    def end(self) -> bool:
        """End the body cleanly: the terminating chunk, or the last byte of a known length.

        Returns:
            Whether that went to the transport; False if the client left before.
        """
        ...

    async def break_off(self, public: str) -> None:
        """End the connection so that every client sees that the body is not complete.

        Args:
            public: the reason, for clients of a kind that can be told one.
        """
        ...
