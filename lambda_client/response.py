"""The writer that user code sees: one face for sync handlers, one for async ones.

Both stand on an `Outlet`: a session that streams to the gateway, or a buffer when there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lambda_client import result
from lambda_client.errors import StreamClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from protocol.headers import HeaderList


class Outlet(Protocol):
    """Where one response goes. Used from the thread that runs user code."""

    @property
    def started(self) -> bool:
        """Whether the head was given."""
        ...

    @property
    def ordinary(self) -> bool:
        """Whether a return value that is no response may simply be returned."""
        ...

    def open(self) -> None:
        """Begin to reach the gateway, since this response will be streamed. Does not wait."""
        ...

    def start(self, status: int, headers: HeaderList) -> None:
        """Give the head, once. It travels with the first bytes, or at `flush`.

        Raises:
            protocol.headers.HeadError: status or a header is not valid.
            StreamClosed: nobody takes the response any more.
        """
        ...

    def flush(self) -> None:
        """Send the head now, although nothing follows yet."""
        ...

    def write(self, data: bytes) -> None:
        """Take body bytes and send them at once; block while there is no credit.

        Raises:
            StreamClosed: nobody takes the response any more.
        """
        ...

    async def write_async(self, data: bytes) -> None:
        """As `write`, suspending the task instead of blocking the thread."""
        ...

    def end(self) -> None:
        """Say that the body is complete. Harmless when said again."""
        ...

    def watch(self, stop: Callable[[], None] | None) -> None:
        """Name what stops the asynchronous user code now running; called from any thread."""
        ...

    def finish(self) -> dict[str, Any]:
        """Deliver everything and return what the handler must return to the runtime.

        Raises:
            StreamClosed: it could not be delivered and the invocation must fail.
        """
        ...


class Buffer:
    """The outlet without a gateway: the whole body becomes one buffered answer.

    Args:
        payload: makes it of status, headers and body; payload 2.0 by default.
    """

    ordinary = True

    def __init__(self, payload: result.Payload = result.payload) -> None:
        self._payload = payload
        self._head: tuple[int, HeaderList] | None = None
        self._body = bytearray()
        self._ended = False

    @property
    def started(self) -> bool:
        """Whether the head was given."""
        return self._head is not None

    def open(self) -> None:
        """Nothing is to be reached."""

    def start(self, status: int, headers: HeaderList) -> None:
        """Keep the head."""
        from protocol.headers import check_head

        self._head = status, check_head(status, headers)

    def flush(self) -> None:
        """Nothing leaves before the end."""

    def write(self, data: bytes) -> None:
        """Keep body bytes."""
        if self._ended:
            raise StreamClosed("write after end")
        self._body += data

    async def write_async(self, data: bytes) -> None:
        """Keep body bytes."""
        self.write(data)

    def end(self) -> None:
        """Take no more bytes."""
        self._ended = True

    def watch(self, stop: Callable[[], None] | None) -> None:
        """Nobody ever cancels."""

    def finish(self) -> dict[str, Any]:
        """Return the buffered answer."""
        assert self._head is not None  # noqa: S101 - every path starts the response first
        return self._payload(*self._head, bytes(self._body))


class _Response:
    """What both faces share: the head, and its default Content-Type."""

    def __init__(self, outlet: Outlet, content_type: str = result.STREAM_TYPE) -> None:
        self._outlet = outlet
        self._content_type = content_type
        self._begun = False  # whether the outlet is known to have a head

    @property
    def started(self) -> bool:
        """Whether the head was sent."""
        return self._outlet.started

    def set_content_type(self, content_type: str) -> None:
        """Choose the Content-Type for a response whose metadata name none.

        Raises:
            RuntimeError: the head was already sent.
        """
        if self._outlet.started:
            raise RuntimeError("the head was already sent: set the content type before writing")
        self._content_type = content_type

    def send_head(self, metadata: Mapping[str, Any]) -> None:
        """Send the response head at once.

        Args:
            metadata: `statusCode` (200 by default), `headers`, `cookies`.

        Raises:
            RuntimeError: the head was already sent.
            protocol.headers.HeadError: status or a header is not valid.
        """
        if self._outlet.started:
            raise RuntimeError("the head was already sent")
        self._outlet.start(*result.head(metadata, self._content_type))
        self._begun = True
        self._outlet.flush()

    def ensure_head(self) -> None:
        """Give the default head, if none was given: it travels with what follows."""
        if not self._begun and not self._outlet.started:
            try:
                self._outlet.start(*result.head({}, self._content_type))
            except Exception:
                if not self._outlet.started:  # else another thread of the handler was quicker
                    raise
        self._begun = True


class ResponseStream(_Response):
    """The response of a sync handler: `write` blocks while the client is slower than the code."""

    def write(self, chunk: str | bytes | bytearray | memoryview) -> None:
        """Send one chunk at once; the head goes with it if it was not sent before.

        Not for a signal's handler: one that interrupts a write of the same thread would wait for itself.
        What breaks a write off (a timeout, a task's cancellation) may leave it with a part of the chunk sent; the
        rest never follows. Whoever goes on all the same goes on behind that part.

        Args:
            chunk: bytes, or str sent as UTF-8. An empty one sends just the head.

        Raises:
            ClientGone: the gateway cancelled the exchange.
            StreamClosed: the response ended, or its connection was lost.
        """
        data = chunk if type(chunk) is bytes else result.to_bytes(chunk)
        if not self._begun:
            self.ensure_head()
        if data:
            self._outlet.write(data)
        else:
            self._outlet.flush()

    def end(self, chunk: str | bytes | bytearray | memoryview | None = None) -> None:
        """Write a last chunk, if any, and end the response. The handler may go on without it."""
        if chunk is None:
            self.ensure_head()
        else:
            self.write(chunk)
        self._outlet.end()


class AsyncResponseStream(_Response):
    """The response of an async handler: `await write(...)` suspends instead of blocking."""

    async def write(self, chunk: str | bytes | bytearray | memoryview) -> None:
        """Send one chunk at once, as `ResponseStream.write` does."""
        data = chunk if type(chunk) is bytes else result.to_bytes(chunk)
        if not self._begun:
            self.ensure_head()
        if data:
            await self._outlet.write_async(data)
        else:
            self._outlet.flush()

    async def end(self, chunk: str | bytes | bytearray | memoryview | None = None) -> None:
        """Write a last chunk, if any, and end the response. The handler may go on without it."""
        if chunk is None:
            self.ensure_head()
        else:
            await self.write(chunk)
        self._outlet.end()


Stream = TypeVar("Stream", bound=_Response)


class HttpResponseStream:
    """Gives a response stream its HTTP head, as `awslambda.HttpResponseStream` does in Node.js."""

    @staticmethod
    def from_(stream: Stream, metadata: Mapping[str, Any]) -> Stream:
        """Send the head and return the stream, to be written to.

        Args:
            stream: the `response_stream` of a `streamify_response` handler.
            metadata: `statusCode` (200 by default), `headers` (str, or list of str for a header
                that repeats), `cookies`.

        Raises:
            RuntimeError: the head was already sent.
            protocol.headers.HeadError: status or a header is not valid.
        """
        stream.send_head(metadata)
        return stream
