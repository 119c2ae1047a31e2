"""What `asgi(app)` makes of the ASGI specification, with a gateway and without."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import StreamClosed, asgi
from protocol.errors import CancelCode, ResetCode
from protocol.frames import End, Head
from tests.lambda_client.gateway import Exchange, Gateway, context, event, eventually, receipt_of
from tests.lambda_client.test_streaming import warm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from protocol.receipt import Receipt
    from tests.lambda_client.conftest import Hurry

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

BODY = random.Random(7).randbytes(3_000_001)
TEXT = ((b"content-type", b"text/plain"),)


def run(app: App, exchange: Exchange | None = None, **changes: Any) -> Any:
    handler = asgi(app, lifespan="off")
    return handler(event(exchange, **changes), context(exchange))


def method(name: str, exchange: Exchange) -> dict[str, Any]:
    http = {"method": name, "path": "/"}
    return {"requestContext": {"requestId": exchange.envelope.xid, "http": http}}


def start(status: int = 200, headers: Iterable[tuple[bytes, bytes]] = TEXT) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sized(data: bytes) -> Message:
    return start(headers=((b"content-length", b"%d" % len(data)),))


def delivered(receipt: Receipt, exchange: Exchange) -> bytes:
    """The body, whichever way it went."""
    return exchange.body if receipt.tail is None else receipt.tail[1]


async def until(probe: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not probe():
            await asyncio.sleep(0.001)


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


# ---------------------------------------------------------------- the client leaves


@pytest.mark.fault(29)
def test_an_application_that_sends_gets_an_oserror(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    raised: list[OSError] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await until(lambda: exchange.body == b"first")
        exchange.cancel()
        try:
            while True:
                await send(body(b"more", more=True))
                await asyncio.sleep(0)
        except OSError as error:
            raised.append(error)

    receipt = receipt_of(run(app, exchange))
    assert (receipt.status, receipt.code) == ("reset", ResetCode.CANCELLED)
    assert len(raised) == 1


@pytest.mark.fault(29)
def test_an_application_that_waits_is_told_before_it_is_cancelled(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    seen: list[object] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        await send(start())
        await send(body(b"first", more=True))
        await until(lambda: exchange.body == b"first")
        exchange.cancel()
        seen.append(await receive())
        begun = asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append(asyncio.get_running_loop().time() - begun)
            raise

    assert receipt_of(run(app, exchange)).status == "reset"
    assert seen[0] == {"type": "http.disconnect"}
    assert isinstance(seen[1], float)
    assert seen[1] >= 0.45


@pytest.mark.fault(29)
def test_an_exception_of_an_application_that_nobody_hears_is_no_failure(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dialback")
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await until(lambda: exchange.body == b"first")
        exchange.cancel()
        await receive()
        await receive()
        raise LookupError("the framework's word for it")

    assert receipt_of(run(app, exchange)).code == ResetCode.CANCELLED
    assert "the framework's word for it" in caplog.text


@pytest.mark.fault(29)
def test_a_generator_that_is_dropped_in_the_middle_runs_its_finally(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    closed: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0.01)
            closed.append("with what it awaits")

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await until(lambda: exchange.body == b"first")
        exchange.cancel()
        async for piece in endless():
            await send(body(piece, more=True))

    run(app, exchange)
    assert closed == ["with what it awaits"]


def test_after_the_response_receive_says_disconnect() -> None:
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"x"))
        seen.append(await receive())

    assert run(app)["body"] == "x"
    assert seen == [{"type": "http.disconnect"}]


def test_the_next_invocation_is_not_cancelled_for_the_last_one(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambda_client.asgi_app.DISCONNECT_GRACE", 0.05)
    first, second = gateway.exchange(), gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        exchange = first if scope["aws.event"]["rawPath"] == "/1" else second
        await send(start())
        await send(body(b"x", more=True))
        await until(lambda: exchange.body == b"x")
        if exchange is first:
            first.cancel()
            await receive()
            await receive()
            return
        await asyncio.sleep(0.1)  # longer than the grace of the first one
        await send(body(b"y"))

    assert receipt_of(run(app, first, rawPath="/1")).status == "reset"
    assert receipt_of(run(app, second, rawPath="/2")).status == "end"
    assert second.body == b"xy"


# ---------------------------------------------------------------- the request's body


def test_a_streamed_body_comes_piece_by_piece(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=BODY)
    sizes: list[int] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        digest, more = hashlib.sha256(), True
        while more:
            message = await receive()
            more = message["more_body"]
            sizes.append(len(message["body"]))
            digest.update(message["body"])
        await send(sized(digest.digest()))
        await send(body(digest.digest()))

    run(app, exchange)
    assert exchange.body == hashlib.sha256(BODY).digest()
    assert len(sizes) > 2
    assert max(sizes) < len(BODY)


def test_down_and_up_at_the_same_time(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=BODY)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(start())
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send(body(message["body"], more=more))

    run(app, exchange)
    assert exchange.body == BODY


def test_a_head_that_answers_an_upload_leaves_without_a_body(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"")  # no credit to tell, either

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await send(start())
        await send(body(more=True))
        await until(lambda: any(isinstance(frame, Head) for frame in exchange.log))
        await send(body(b"y"))

    run(app, exchange)
    assert exchange.body == b"y"


def test_a_client_that_breaks_off_its_upload_has_disconnected(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"first", upload_whole=False)
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        exchange.cancel()
        seen.append(await receive())

    assert receipt_of(run(app, exchange)).status == "reset"
    assert seen == [
        {"type": "http.request", "body": b"first", "more_body": True},
        {"type": "http.disconnect"},
    ]


def test_a_body_that_cannot_be_fetched_fails_the_invocation(gateway: Gateway, hurry: Hurry) -> None:
    hurry(patience=0.05)
    exchange = gateway.exchange(upload=b"x", urls=("ws://127.0.0.1:9",))

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.disconnect"}

    with pytest.raises(StreamClosed, match=r"ws://127\.0\.0\.1:9"):
        run(app, exchange)


# ---------------------------------------------------------------- behind the response


@pytest.mark.parametrize("large", [False, True])
def test_the_response_does_not_wait_for_what_the_application_does_after_it(
    gateway: Gateway, large: bool
) -> None:
    exchange = gateway.exchange()
    answer = BODY if large else b"small"

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(sized(answer))
        await send(body(answer))
        await until(lambda: exchange.stream.ended)

    receipt = receipt_of(run(app, exchange))
    assert (receipt.status, receipt.tail) == ("end", None)
    assert exchange.body == answer


def test_an_exception_after_the_response_is_logged_and_no_failure(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(sized(b"x"))
        await send(body(b"x"))
        raise KeyError("in the background")

    receipt = receipt_of(run(app, exchange))
    assert (receipt.status, receipt.tail) == ("end", (0, b"x"))
    assert "in the background" in caplog.text


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
