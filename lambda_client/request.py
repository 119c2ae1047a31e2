"""The request's body, wherever it travels: in the event, or over the callback."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from lambda_client.running import running_session

if TYPE_CHECKING:
    from typing import Self

    from lambda_client.session import Session


class RequestBody:
    """The bytes of one request, read once, in order; iterate it with ``for`` or ``async for``.

    A streamed body is never held as a whole: the client is slowed down to the pace of the reader.
    Iterating raises `StreamClosed` when the client broke off, so a short body is never silent. It is
    its own iterator: after a wait that was cancelled or timed out, iterating goes on.
    """

    def __init__(self, inline: bytes, session: Session | None) -> None:
        self._inline = inline
        self._session = session
        self._upload = session.upload if session is not None else None

    @property
    def streamed(self) -> bool:
        """Whether it comes over the callback, piece by piece; else it is here as a whole."""
        return self._session is not None

    @property
    def length(self) -> int | None:
        """Bytes of the whole, until any were read; None if the client did not say how many come."""
        return len(self._inline) if self._session is None else self._session.envelope.body_length

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next bytes as they come, blocking for them."""
        if chunk := self._next():
            return chunk
        raise StopIteration

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes as they come, suspending the task for them."""
        if chunk := await self.next_async():
            return chunk
        raise StopAsyncIteration

    def read(self) -> bytes:
        """Return all that is left; the whole of it is then in memory."""
        return b"".join(self)

    async def read_async(self) -> bytes:
        """As `read`, suspending the task."""
        return b"".join([chunk async for chunk in self])

    def _next(self) -> bytes:
        if self._upload is not None:
            return self._upload.read()
        return self._take_inline()

    async def next_async(self) -> bytes:
        """Return the next bytes as they come, suspending the task for them; empty at the end."""
        if self._upload is not None:
            return await self._upload.read_async()
        return self._take_inline()

    def _take_inline(self) -> bytes:
        chunk, self._inline = self._inline, b""
        return chunk


def request_body(event: Any) -> RequestBody:
    """Return the body of the request that `event` describes.

    Args:
        event: a payload 2.0 event, as the handler got it.

    Raises:
        TypeError: its body is no text.
    """
    session = _streamed_by(event)
    if session is not None:
        return RequestBody(b"", session)
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        return RequestBody(base64.b64decode(body), None)
    if not isinstance(body, str | bytes):
        raise TypeError(f"the body of an event is a str, not {type(body).__name__}")
    return RequestBody(body.encode() if isinstance(body, str) else body, None)


def _streamed_by(event: Any) -> Session | None:
    """Return the session that carries this event's body, if one does."""
    session = running_session()
    if session is None or session.envelope.body != "stream":
        return None
    xid = (event.get("requestContext") or {}).get("requestId")
    return session if xid in (None, session.envelope.xid) else None
