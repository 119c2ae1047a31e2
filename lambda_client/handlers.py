"""The decorators: an ordinary Lambda handler in, one that streams through the gateway out."""

from __future__ import annotations

import functools
import inspect
import logging
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from lambda_client import result
from lambda_client.entry import ENTRY_POINT, answer, entry_point, run_async
from lambda_client.response import AsyncResponseStream, ResponseStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping

    from lambda_client.response import Outlet

    Handler = Callable[[Any, Any], Any]
    StreamHandler = Callable[[Any, Any, Any], Any]

logger = logging.getLogger("dialback")


def streaming(handler: Handler) -> Handler:
    """Let a standard ``handler(event, context)`` stream its response through the gateway.

    The handler may be sync or async, and may

    * be a generator of bytes or str: each item is one chunk, sent at once. If the first item is a
      dict it is the head: `statusCode`, `headers`, `cookies`;
    * return a payload 2.0 dict whose `body` is a str, bytes, an iterable, an async iterable or an
      open binary file; the last three are streamed, and closed;
    * return anything else, which becomes what a Function URL makes of it.

    Called without the gateway, the same function answers buffered. When the client leaves, an async
    handler is cancelled and a generator closed; one that computes for long asks `check_cancelled`.
    What streams by itself, as `asgi(app)` does, is returned as it is.
    """
    if getattr(handler, ENTRY_POINT, None) is True:
        return handler  # the outer of two would buffer what the inner sends

    @functools.wraps(handler)
    def entry(event: Any, context: Any = None) -> Any:
        return answer(event, context, lambda outlet: _answer(outlet, handler(event, context)))

    return entry_point(entry)


def streamify_response(handler: StreamHandler) -> Handler:
    """Let a ``handler(event, response_stream, context)`` write its response as it goes.

    As `awslambda.streamifyResponse` in Node.js. A sync handler gets a `ResponseStream`, whose
    `write` blocks while the client is slower; an async one an `AsyncResponseStream`, whose `write`
    and `end` are awaited. Returning ends the response.

    Raises:
        TypeError: the handler is a generator, whose items nobody would take.
    """
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise TypeError("a generator is decorated with @streaming, not with @streamify_response")
    stream_type = AsyncResponseStream if inspect.iscoroutinefunction(handler) else ResponseStream

    def write(outlet: Outlet, event: Any, context: Any) -> Any:
        outlet.open()
        stream = stream_type(outlet)
        if _settle(outlet, handler(event, stream, context)) is not None:
            logger.warning(
                "what a @streamify_response handler returns is not sent: write it to the stream, or"
                " decorate the handler with @streaming"
            )
        stream.ensure_head()
        return outlet.finish()

    @functools.wraps(handler)
    def entry(event: Any, context: Any = None) -> Any:
        return answer(event, context, lambda outlet: write(outlet, event, context))

    return entry_point(entry)


def _settle(outlet: Outlet, value: Any) -> Any:
    """Wait for what an async handler returns, on the persistent loop of this thread."""
    return run_async(outlet, value) if _is_awaitable(value) else value


def _is_awaitable(value: Any) -> bool:
    """As `inspect.isawaitable`, which asks an abstract class: 22 us where that is cold, and this 9."""
    if isinstance(value, GeneratorType):
        return bool(value.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE)
    return getattr(type(value), "__await__", None) is not None


# ---------------------------------------------------------------- what a handler returned


def _answer(outlet: Outlet, value: Any) -> Any:
    """Turn a handler's return value into what the invocation returns."""
    value = _settle(outlet, value)
    if hasattr(value, "__aiter__") or hasattr(value, "__next__"):
        _stream(outlet, value)
    elif result.is_response(value):
        _respond(outlet, value)
    elif outlet.ordinary:
        return value
    else:
        outlet.start(*result.head({}, result.BUFFERED_TYPE))
        outlet.write(result.to_json(value))
    return outlet.finish()


def _respond(outlet: Outlet, response: dict[str, Any]) -> None:
    body = result.body_of(response)
    if isinstance(body, bytes):
        outlet.start(*result.head(response, result.BUFFERED_TYPE))
        outlet.write(body)
        return
    _stream(outlet, body, response)


def _stream(outlet: Outlet, chunks: Any, head: Mapping[str, Any] | None = None) -> None:
    """Stream what a handler yields, or its body after the head; closed whatever happens."""
    outlet.open()
    if hasattr(chunks, "__aiter__"):
        run_async(outlet, _write_async(AsyncResponseStream(outlet), chunks, head))
    else:
        _write(ResponseStream(outlet), chunks, head)


def _write(stream: ResponseStream, chunks: Any, head: Mapping[str, Any] | None) -> None:
    """Write what a sync iterable yields, or a file holds."""
    close = getattr(chunks, "close", None)
    try:
        if head is not None:
            stream.send_head(head)
        for chunk in result.file_chunks(chunks) if hasattr(chunks, "read") else chunks:
            if isinstance(chunk, dict) and not stream.started:
                stream.send_head(chunk)
            else:
                stream.write(chunk)
        stream.ensure_head()
        if close is not None and not isinstance(chunks, GeneratorType):
            stream.end()  # before a `close` that may take its time, as a generator's does not
    finally:
        if close is not None:
            close()


async def _write_async(
    stream: AsyncResponseStream, chunks: AsyncIterable[Any], head: Mapping[str, Any] | None
) -> None:
    """As `_write`, for an async iterable."""
    try:
        await _write_items(stream, aiter(chunks), head)
    finally:
        await _close(chunks)


async def _write_items(
    stream: AsyncResponseStream, items: AsyncIterator[Any], head: Mapping[str, Any] | None
) -> None:
    try:
        if head is not None:
            stream.send_head(head)
        async for chunk in items:
            if isinstance(chunk, dict) and not stream.started:
                stream.send_head(chunk)
            else:
                await stream.write(chunk)
        stream.ensure_head()
        if not isinstance(items, AsyncGeneratorType):
            await stream.end()
    finally:
        await _close(items)


async def _close(chunks: Any) -> None:
    """Close an async iterable, or the iterator made of it: neither may outlive the invocation."""
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()
