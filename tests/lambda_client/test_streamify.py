from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import (
    AsyncResponseStream,
    HttpResponseStream,
    ResponseStream,
    StreamClosed,
    streamify_response,
)
from lambda_client.running import running_session
from protocol.frames import Head
from tests.lambda_client.gateway import Gateway, context, event, eventually, silent_address
from tests.lambda_client.handlers import attached, call

if TYPE_CHECKING:
    from tests.lambda_client.gateway import Exchange

METADATA = {"statusCode": 201, "headers": {"x": "y"}, "cookies": ["a=1"]}


def test_a_sync_handler_writes_as_it_goes(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: ResponseStream, context: Any) -> None:
        stream = HttpResponseStream.from_(stream, METADATA)
        eventually(lambda: any(isinstance(frame, Head) for frame in exchange.log))
        stream.write("a")
        eventually(lambda: exchange.body == b"a")
        stream.write(b"b")
        stream.end("c")

    assert call(handler, exchange).status == "end"
    assert exchange.head.status == 201
    assert exchange.headers("set-cookie") == ["a=1"]
    assert exchange.headers("content-type") == ["application/octet-stream"]
    assert exchange.body == b"abc"


def test_an_async_handler_awaits_its_writes(gateway: Gateway) -> None:
    exchange = gateway.exchange(window=4096)

    @streamify_response
    async def handler(event: Any, stream: AsyncResponseStream, context: Any) -> None:
        stream.set_content_type("text/plain")
        await stream.write("ä")
        for _ in range(20):
            await stream.write(b"x" * 1000)
        await stream.end(b"!")

    assert call(handler, exchange).status == "end"
    assert exchange.headers("content-type") == ["text/plain"]
    assert exchange.body == "ä".encode() + b"x" * 20_000 + b"!"


def test_the_end_leaves_at_once_and_the_handler_goes_on(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: ResponseStream, context: Any) -> None:
        attached(exchange)
        stream.end("all")
        eventually(lambda: exchange.stream.ended)

    assert call(handler, exchange).status == "end"


@pytest.mark.parametrize("served", [False, True])
def test_a_handler_that_writes_nothing_is_an_empty_answer(gateway: Gateway, served: bool) -> None:
    @streamify_response
    def handler(event: Any, stream: ResponseStream, context: Any) -> None:
        stream.set_content_type("text/css")

    if served:
        with silent_address() as url:
            receipt = call(handler, gateway.exchange(urls=(url,)))
        assert receipt.head == (200, ((b"content-type", b"text/css"),))
        assert receipt.tail == (0, b"")
    else:
        answer = handler({}, None)
        assert (answer["statusCode"], answer["body"]) == (200, "")
        assert answer["headers"] == {"content-type": "text/css"}


def test_what_is_returned_instead_of_written_is_named(caplog: pytest.LogCaptureFixture) -> None:
    @streamify_response
    def handler(event: Any, stream: ResponseStream, context: Any) -> dict[str, Any]:
        return {"statusCode": 200, "body": "never seen"}

    assert handler({}, None)["body"] == ""
    assert "what a @streamify_response handler returns is not sent" in caplog.text


def test_without_a_gateway_both_faces_answer_buffered() -> None:
    @streamify_response
    def handler(event: Any, stream: ResponseStream, context: Any) -> None:
        HttpResponseStream.from_(stream, METADATA).write("a")
        stream.end(b"b")

    @streamify_response
    async def handler_async(event: Any, stream: AsyncResponseStream, context: Any) -> None:
        HttpResponseStream.from_(stream, METADATA)
        await stream.write("a")
        await stream.end(b"b")

    assert handler({}, None) == handler_async({}, None)
    assert handler({}, None)["body"] == "ab"


def test_an_empty_chunk_sends_the_head(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: ResponseStream, context: Any) -> None:
        attached(exchange)
        stream.write(b"")
        eventually(lambda: len(exchange.log) > 1)
        assert exchange.head.status == 200

    assert call(handler, exchange).status == "end"
    assert exchange.body == b""


def test_what_is_out_of_order_is_refused() -> None:
    @streamify_response
    def handler(event: Any, stream: ResponseStream, context: Any) -> None:
        stream.write("a")
        with pytest.raises(RuntimeError, match="already sent"):
            stream.set_content_type("text/plain")
        with pytest.raises(RuntimeError, match="already sent"):
            HttpResponseStream.from_(stream, METADATA)
        stream.end()
        with pytest.raises(StreamClosed, match="after end"):
            stream.write("b")

    assert handler({}, None)["body"] == "a"


@pytest.mark.parametrize("acknowledged", [False, True])
def test_write_after_end_is_refused_on_a_stream_too(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, acknowledged: bool
) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: ResponseStream, context: Any) -> None:
        attached(exchange)
        stream.end("a")
        session = running_session()
        assert session is not None
        if acknowledged:
            eventually(lambda: session.settled)
        with pytest.raises(StreamClosed, match="after end"):
            stream.write("b")
        stream.end()

    with caplog.at_level(logging.INFO, "dialback"):
        assert call(handler, exchange).status == "end"
    assert exchange.body == b"a"
    assert not caplog.records


def test_from_keeps_the_kind_of_stream() -> None:
    def typed(stream: ResponseStream, exchange: Exchange | None = None) -> ResponseStream:
        return HttpResponseStream.from_(stream, {})

    handler = streamify_response(lambda event, stream, context: typed(stream).end("x"))
    assert handler(event(), context())["body"] == "x"


def test_a_generator_is_refused_at_once() -> None:
    def handler(event: Any, stream: Any, context: Any) -> Any:
        yield b"nobody would take this"

    with pytest.raises(TypeError, match="@streaming"):
        streamify_response(handler)


def test_an_async_handler_that_is_broken_off_while_it_waits_does_not_run_on_in_the_next(
    gateway: Gateway,
) -> None:
    """As by a signal's handler that raises: it is the event loop that is interrupted."""
    exchange, ended = gateway.exchange(), list[str]()

    def interrupt() -> None:
        raise KeyboardInterrupt

    @streamify_response
    async def handler(event: Any, stream: Any, context: Any) -> None:
        await stream.write(b"half")
        eventually(lambda: exchange.body == b"half")
        asyncio.get_running_loop().call_soon(interrupt)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("in this invocation")

    with pytest.raises(KeyboardInterrupt):
        call(handler, exchange)
    assert ended == ["in this invocation"]
    eventually(lambda: exchange.resets)
