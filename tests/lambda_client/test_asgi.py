"""What `asgi(app)` makes of the ASGI specification, with a gateway and without."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import asgi
from lambda_client.asgi_app import RETURN_PATIENCE
from protocol.errors import CancelCode, ResetCode
from protocol.frames import End, Head
from tests.lambda_client.asgi_apps import (
    BODY,
    body,
    delivered,
    method,
    run,
    sized,
    start,
    until,
)
from tests.lambda_client.gateway import Gateway, context, eventually, receipt_of
from tests.lambda_client.handlers import warm

if TYPE_CHECKING:
    from tests.lambda_client.asgi_apps import Message, Receive, Send


# ---------------------------------------------------------------- what the application sends


def test_each_message_leaves_before_the_next_is_made(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start(201, [(b"X-A", b"1"), (b"set-cookie", b"a=1"), (b"x-a", b"2")]))
        await send(body(more=True))
        await until(lambda: any(isinstance(frame, Head) for frame in exchange.log))
        for number in range(5):
            await send(body(b"chunk %d" % number, more=True))
            await until(lambda number=number: len(exchange.chunks) == number + 1)  # type: ignore[misc]
        await send(body())

    receipt = receipt_of(run(app, exchange))
    assert (receipt.status, receipt.final, receipt.tail) == ("end", 35, None)
    assert exchange.head.status == 201
    assert exchange.head.headers == ((b"x-a", b"1"), (b"set-cookie", b"a=1"), (b"x-a", b"2"))
    assert exchange.chunks == [b"chunk %d" % number for number in range(5)]


def test_dialling_begins_with_a_head_that_promises_no_length(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await until(lambda: exchange.stream.bound is not None)
        await send(body(b"x"))

    assert receipt_of(run(app, exchange)).tail is None
    assert exchange.body == b"x"


@pytest.mark.parametrize("pieces", [[b"all"], [b"all", b""]])
def test_a_small_complete_answer_returns_with_the_receipt(
    gateway: Gateway, pieces: list[bytes]
) -> None:
    warm(gateway)
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(sized(b"all"))
        for piece in pieces[:-1]:
            await send(body(piece, more=True))
        await send(body(pieces[-1]))

    assert receipt_of(run(app, exchange)).tail == (0, b"all")
    assert exchange.log == []


def test_an_application_that_has_returned_is_not_waited_for(gateway: Gateway) -> None:
    """However long that took: the loop finds a timer due that nobody needs any more."""
    warm(gateway)
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(sized(b"all"))
        await send(body(b"all"))
        time.sleep(2 * RETURN_PATIENCE)

    assert receipt_of(run(app, exchange)).tail == (0, b"all")
    assert exchange.log == []


def test_a_large_body_in_one_message_is_streamed(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(sized(BODY))
        await send(body(BODY))

    assert receipt_of(run(app, exchange)).final == len(BODY)
    assert exchange.body == BODY


def test_a_body_far_beyond_its_length_is_no_deadlock(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start(headers=[(b"content-length", b"5")]))
        await send(body(BODY))

    assert receipt_of(run(app, exchange)).status == "reset"


def test_memoryviews_and_a_body_that_is_left_out_are_sent(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": memoryview(b"abc"), "more_body": True})
        await send({"type": "http.response.body"})

    assert delivered(receipt_of(run(app, exchange)), exchange) == b"abc"


def test_blanks_around_a_length_are_no_error(gateway: Gateway) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start(headers=[(b"content-length", b" 3\t")]))
        await send(body(b"all"))

    receipt = receipt_of(run(app, gateway.exchange()))
    assert receipt.head == (200, ((b"content-length", b"3"),))
    assert receipt.tail == (0, b"all")


@pytest.mark.parametrize(("name", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_no_body_follows_where_http_allows_none(gateway: Gateway, name: str, status: int) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start(status, [(b"content-length", b"5"), (b"etag", b'"1"')]))
        await send(body(b"hello"))

    receipt = receipt_of(run(app, exchange, **method(name, exchange)))
    assert receipt.head == (status, ((b"content-length", b"5"), (b"etag", b'"1"')))
    assert (receipt.final, receipt.tail) == (0, (0, b""))


def test_an_endless_answer_to_head_ends_when_the_gateway_has_the_head(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    raised: list[BaseException] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"dropped", more=True))
        await until(lambda: any(isinstance(frame, Head) for frame in exchange.log))
        exchange.cancel(CancelCode.NO_BODY)
        try:
            while True:
                await send(body(b"dropped", more=True))
                await asyncio.sleep(0.001)
        except asyncio.CancelledError as error:
            raised.append(error)
            raise

    receipt = receipt_of(run(app, exchange, **method("HEAD", exchange)))
    assert (receipt.status, exchange.body, len(raised)) == ("reset", b"", 1)


def test_values_keep_their_bytes(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start(headers=[(b"x-a", b"caf\xe9"), (b"x-b", "café".encode())]))
        await send(body(b"", more=True))
        await until(lambda: any(isinstance(frame, Head) for frame in exchange.log))
        await send(body())

    run(app, exchange)
    values = {name: value for name, value in exchange.head.headers if name.startswith(b"x-")}
    assert values == {b"x-a": b"caf\xe9", b"x-b": "café".encode()}


# ---------------------------------------------------------------- what it does wrong


@pytest.mark.parametrize("messages", [[], [start()]])
def test_an_exception_before_the_body_is_a_500_or_a_break(
    gateway: Gateway, messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
            await until(lambda: exchange.stream.bound is not None)
        raise KeyError("the application's own")

    if messages:
        with pytest.raises(KeyError, match="the application's own"):
            run(app, exchange)
        eventually(lambda: [reset.code for reset in exchange.resets] == [ResetCode.HANDLER_ERROR])
        return
    receipt = receipt_of(run(app, exchange))
    assert receipt.head is not None
    assert receipt.head[0] == 500
    assert receipt.tail == (0, b"Internal Server Error")
    assert "the application's own" in caplog.text


def test_an_exception_after_the_head_breaks_the_response_visibly(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"half", more=True))
        await until(lambda: exchange.body == b"half")
        raise KeyError("the application's own")

    with pytest.raises(KeyError, match="the application's own"):
        run(app, exchange)
    eventually(lambda: [reset.code for reset in exchange.resets] == [ResetCode.HANDLER_ERROR])
    assert not any(isinstance(frame, End) for frame in exchange.log)


def test_returning_in_the_middle_breaks_the_response_visibly(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"half", more=True))
        await until(lambda: exchange.body == b"half")

    with pytest.raises(RuntimeError, match="in the middle"):
        run(app, exchange)
    eventually(lambda: exchange.resets)


def test_returning_without_an_answer_is_a_500() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        pass

    assert run(app)["statusCode"] == 500


def test_a_500_for_head_has_no_body() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise KeyError

    answer = run(app, requestContext={"http": {"method": "HEAD"}})
    assert (answer["statusCode"], answer["body"]) == (500, "")


@pytest.mark.parametrize(
    "header", [(b"x y", b"1"), (b"x", b"1\r\ny: 2"), (b"content-length", b"-1")]
)
def test_a_head_that_would_break_http_is_refused_where_it_is_sent(
    header: tuple[bytes, bytes],
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start(headers=[header]))
        await send(body(b"never"))

    assert run(app)["statusCode"] == 500


@pytest.mark.parametrize("headers", [[(b"x-a", 5)], [("x-a", b"b")], [(b"x-a", "b")]])
def test_a_header_that_is_no_bytes_is_named(headers: list[tuple[Any, Any]]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        with pytest.raises(
            TypeError, match=r"a header of http\.response\.start is bytes, not (int|str)"
        ):
            await send({**start(), "headers": headers})
        await send(start(204))
        await send(body())

    assert run(app)["statusCode"] == 204


@pytest.mark.parametrize("piece", [5, "text", None])
def test_a_body_that_is_no_bytes_is_named(piece: Any) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        with pytest.raises(TypeError, match=r"http\.response\.body is bytes, not (int|str|None)"):
            await send(body(piece))
        await send(body(b"mended"))

    assert run(app)["body"] == "mended"


@pytest.mark.parametrize(
    ("messages", "whole"),
    [
        ([body(b"x")], False),
        ([{"type": "websocket.accept"}], False),
        ([start(), start()], False),
        ([start(), {"type": "http.response.trailers"}], False),
        ([start(), body(b"x"), body(b"y")], True),
    ],
)
def test_messages_out_of_order_raise(messages: list[Message], whole: bool) -> None:
    raised: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(message)
        except RuntimeError as error:
            raised.append(str(error))
        if not whole:
            raise LookupError

    if len(messages) == 2:
        with pytest.raises(LookupError):  # its head is out: no other answer may follow
            run(app)
    else:
        assert run(app)["statusCode"] == (200 if whole else 500)
    assert [messages[-1]["type"] in text for text in raised] == [True]


# ---------------------------------------------------------------- without a gateway


def test_without_a_gateway_it_answers_buffered() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        request = await receive()
        await send(start(201, [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1")]))
        await send(body(b"you said ", more=True))
        await send(body(request["body"]))

    answer = run(app, body="hello")
    assert answer == {
        "statusCode": 201,
        "headers": {"content-type": "text/plain"},
        "cookies": ["a=1"],
        "body": "you said hello",
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(
    ("sender", "fields"),
    [
        ({}, {"multiValueHeaders": {"set-cookie": ["a=1", "b=2"]}}),
        ({"requestContext": {"elb": {}}}, {"headers": {"set-cookie": "a=1", "Set-cookie": "b=2"}}),
        (
            {"requestContext": {"elb": {}}, "multiValueHeaders": {"x-a": ["1", "2"]}},
            {"multiValueHeaders": {"set-cookie": ["a=1", "b=2"]}},
        ),
    ],
    ids=["REST API", "load balancer", "load balancer with multi-value headers"],
)
def test_payload_1_is_answered_by_payload_1(sender: dict[str, Any], fields: dict[str, Any]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        request = await receive()
        await send(start(200, [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]))
        await send(body(scope["method"].encode() + b" " + request["body"]))

    rest = {"httpMethod": "POST", "path": "/", "body": "aGk=", "isBase64Encoded": True, **sender}
    answer = asgi(app, lifespan="off")(rest, context())
    assert answer == {"statusCode": 200, "body": "POST hi", "isBase64Encoded": False, **fields}


def test_an_exception_after_the_head_is_never_a_whole_answer() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"half", more=True))
        raise KeyError("the application's own")

    with pytest.raises(KeyError, match="the application's own"):
        run(app)


def test_an_event_that_is_no_request_is_refused() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="no HTTP request"):
        asgi(app)({"Records": []}, context())
