"""What `@streaming` makes of handlers that return, and of all without a gateway."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import types
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import streaming
from protocol.headers import HeadError
from protocol.limits import INLINE_ANSWER_MAX
from tests.lambda_client.gateway import (
    Gateway,
    context,
    event,
)
from tests.lambda_client.handlers import EVERY_BYTE, call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    Handler = Callable[[Any, Any], Any]


# ---------------------------------------------------------------- returned answers


class Waits:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[None, None, str]:
        yield from asyncio.sleep(0).__await__()
        return "awaited"


@types.coroutine
def old_fashioned() -> Generator[None, None, str]:
    yield from asyncio.sleep(0).__await__()
    return "awaited"


@pytest.mark.parametrize("kind", [Waits, old_fashioned])
def test_whatever_can_be_awaited_is(kind: Callable[[], Any]) -> None:
    assert inspect.isawaitable(kind())
    assert streaming(lambda event, context: kind())(event(), context()) == "awaited"


@pytest.mark.parametrize(
    ("body", "expected"),
    [("text ä", "text ä".encode()), (EVERY_BYTE, EVERY_BYTE), (None, b""), ("", b"")],
)
def test_a_small_answer_returns_without_a_socket(
    gateway: Gateway, body: Any, expected: bytes
) -> None:
    exchange = gateway.exchange()
    receipt = call(streaming(lambda event, context: {"statusCode": 203, "body": body}), exchange)
    assert receipt.status == "end"
    assert receipt.head == (203, ((b"content-type", b"application/json"),))
    assert receipt.tail == (0, expected)
    assert not gateway.requests


@pytest.mark.parametrize("size", [INLINE_ANSWER_MAX, INLINE_ANSWER_MAX + 1, 1_000_000])
def test_a_large_answer_is_streamed(gateway: Gateway, size: int) -> None:
    exchange = gateway.exchange()

    async def handler(event: Any, context: Any) -> Any:
        return {"statusCode": 200, "body": b"x" * size}

    receipt = call(streaming(handler), exchange)
    if size <= INLINE_ANSWER_MAX:
        assert receipt.tail == (0, b"x" * size)
    else:
        assert exchange.body == b"x" * size
        assert exchange.headers("content-type") == ["application/json"]


def test_an_answer_beyond_the_first_window_is_streamed(gateway: Gateway) -> None:
    exchange = gateway.exchange(window=1000)
    call(streaming(lambda event, context: {"statusCode": 200, "body": "x" * 5000}), exchange)
    assert exchange.body == b"x" * 5000


async def _async_chunks() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b" * 70_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: iter([b"a", "b" * 70_000]),
        lambda: [b"a", b"b" * 70_000],
        lambda: io.BytesIO(b"a" + b"b" * 70_000),
        _async_chunks,
    ],
    ids=["iterator", "list", "file", "async"],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_body_that_is_a_stream_is_streamed(
    gateway: Gateway, make: Callable[[], Any], asynchronous: bool
) -> None:
    exchange = gateway.exchange()

    def handler(event: Any, context: Any) -> Any:
        return {"statusCode": 200, "headers": {"x": ["1", "2"]}, "body": make()}

    async def handler_async(event: Any, context: Any) -> Any:
        return handler(event, context)

    receipt = call(streaming(handler_async if asynchronous else handler), exchange)
    assert receipt.status == "end"
    assert exchange.body == b"a" + b"b" * 70_000
    assert exchange.headers("x") == ["1", "2"]
    assert exchange.headers("content-type") == ["application/octet-stream"]


def test_files_and_iterables_are_closed(gateway: Gateway) -> None:
    closed: list[str] = []
    file = io.BytesIO(b"content")

    def chunks() -> Iterator[bytes]:
        try:
            yield b"x"
        finally:
            closed.append("generator")

    call(streaming(lambda e, c: {"statusCode": 200, "body": file}), gateway.exchange())
    call(streaming(lambda e, c: {"statusCode": 200, "body": chunks()}), gateway.exchange())
    assert file.closed
    assert closed == ["generator"]


@pytest.mark.parametrize("value", ["text", None, [1, 2], {"message": "hi"}, 5])
def test_other_values_pass_as_they_are(gateway: Gateway, value: Any) -> None:
    handler = streaming(lambda event, context: value)
    assert handler(event(), context()) == value
    exchange = gateway.exchange()
    assert handler(event(exchange), context(exchange)) == value
    assert not gateway.requests


def test_other_values_answer_for_an_unread_body_too(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"x" * 1000)
    receipt = call(streaming(lambda event, context: {"ok": True}), exchange)
    assert receipt.tail is not None
    assert json.loads(receipt.tail[1]) == {"ok": True}


# ---------------------------------------------------------------- without a gateway


def test_an_answer_for_a_rest_api_keeps_its_headers() -> None:
    cookies = {"set-cookie": ["a=1", "b=2"], "content-type": ["text/html"]}

    @streaming
    def handler(event: Any, context: Any) -> Any:
        return {"statusCode": 200, "multiValueHeaders": cookies, "body": "text"}

    answer = handler({"httpMethod": "GET", "path": "/", "requestContext": {}}, None)
    assert answer["multiValueHeaders"] == cookies


def test_without_a_gateway_a_generator_answers_buffered() -> None:
    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 201, "headers": {"x": "y"}, "cookies": ["a=1"]}
        yield "text "
        yield "ä".encode()

    assert handler({}, context()) == {
        "statusCode": 201,
        "headers": {"x": "y", "content-type": "application/octet-stream"},
        "cookies": ["a=1"],
        "body": "text ä",
        "isBase64Encoded": False,
    }


def test_without_a_gateway_bytes_become_base64() -> None:
    async def handler(event: Any, context: Any) -> AsyncIterator[bytes]:
        yield EVERY_BYTE

    answer = streaming(handler)({}, None)
    assert answer["isBase64Encoded"] is True
    answer = streaming(lambda e, c: {"statusCode": 200, "body": io.BytesIO(b"file")})({}, None)
    assert answer["body"] == "file"
    answer = streaming(lambda e, c: {"statusCode": 200, "body": "json"})({}, None)
    assert answer["headers"] == {"content-type": "application/json"}


def test_the_wrapped_handler_keeps_its_name() -> None:
    @streaming
    def handler(event: Any, context: Any) -> None:
        """What it does."""

    assert (handler.__name__, handler.__doc__) == ("handler", "What it does.")


def test_async_handlers_share_one_loop() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @streaming
    async def handler(event: Any, context: Any) -> str:
        loops.append(asyncio.get_running_loop())
        return "ok"

    assert handler({}, None) == handler({}, None) == "ok"
    assert loops[0] is loops[1]


@pytest.mark.parametrize("dialled", [False, True])
def test_a_body_is_closed_although_its_head_is_refused(gateway: Gateway, dialled: bool) -> None:
    file = io.BytesIO(b"content")
    answer = {"statusCode": 200, "headers": {"bad name": "x"}, "body": file}
    exchange = gateway.exchange()
    with pytest.raises(HeadError, match="bad name"):
        streaming(lambda e, c: answer)(event(exchange), context(exchange) if dialled else None)
    assert file.closed


def test_what_an_async_iterable_opened_is_closed_with_it() -> None:
    ended: list[bool] = []

    class Body:
        async def __aiter__(self) -> AsyncIterator[Any]:
            try:
                yield b"x"
                yield None
            finally:
                ended.append(True)

    with pytest.raises(TypeError, match="not NoneType"):
        streaming(lambda e, c: {"statusCode": 200, "body": Body()})({}, None)
    assert ended == [True]
