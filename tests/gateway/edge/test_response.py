"""What goes back: framing, heads, ends clean and broken, over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from gateway.errors import FunctionFailed, Overloaded
from tests.gateway.edge.serving import PLAIN, Client, answer, edge, get, sized, unchunk
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.messages import EdgeRequest, ResponseSink

BODY = bytes(range(256)) * 3


def header(response: bytes, name: str) -> list[str]:
    """Every value of a response header."""
    lines = response.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    pairs = (line.split(": ", 1) for line in lines)
    return [value for key, value in pairs if key.lower() == name]


def body_of(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


async def test_every_write_is_one_chunk_and_the_end_is_the_terminator() -> None:
    async with edge(answer(b"one", b"two", BODY)) as it:
        response = await it.ask(get())
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert header(response, "transfer-encoding") == ["chunked"]
    assert unchunk(body_of(response)) == [b"one", b"two", BODY]


async def test_parts_of_one_write_travel_in_one_chunk() -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write([b"a", b"", b"bc"])
        sink.write([])
        sink.write([b""])
        sink.end()

    async with edge(serve) as it:
        assert unchunk(body_of(await it.ask(get()))) == [b"abc"]


async def test_a_known_length_is_content_length_and_no_chunks() -> None:
    async with edge(sized(BODY)) as it:
        response = await it.ask(get())
    assert header(response, "content-length") == [str(len(BODY))]
    assert header(response, "transfer-encoding") == []
    assert body_of(response) == BODY


async def test_a_content_length_among_the_headers_counts_as_the_length() -> None:
    async with edge(answer(b"12345", headers=((b"content-length", b"5"),))) as it:
        response = await it.ask(get())
    assert header(response, "content-length") == ["5"]
    assert body_of(response) == b"12345"


async def test_no_byte_beyond_the_promised_length_is_sent() -> None:
    async with edge(answer(b"12345678", b"9", headers=((b"content-length", b"5"),))) as it:
        assert body_of(await it.ask(get())) == b"12345"


async def test_a_body_shorter_than_promised_ends_broken() -> None:
    async with edge(answer(b"123", headers=((b"content-length", b"5"),))) as it:
        with pytest.raises(ConnectionResetError):
            await it.ask(get())


@pytest.mark.parametrize(
    ("method", "status", "lengths"),
    [("HEAD", 200, ["768"]), ("GET", 204, []), ("GET", 304, ["768"]), ("HEAD", 404, ["768"])],
)
async def test_bodiless_responses_never_carry_a_byte_and_keep_the_connection(
    method: str, status: int, lengths: list[str]
) -> None:
    async with edge(sized(BODY, status)) as it, Client(it.port) as client:
        client.send(get("/a", "Connection: keep-alive", method=method))
        head = await client.head()
        assert header(head, "content-length") == lengths
        assert header(head, "transfer-encoding") == []
        client.send(get("/b", method=method))
        assert (await client.rest()).endswith(b"\r\n\r\n")
        assert [request.path for request in it.driver.requests] == ["/a", "/b"]


async def test_head_of_a_stream_has_no_body() -> None:
    async with edge(answer(b"one", b"two")) as it:
        assert body_of(await it.ask(get(method="HEAD"))) == b""


async def test_http_1_0_bodies_are_delimited_by_close() -> None:
    async with edge(answer(b"one", b"two")) as it:
        response = await it.ask(get("/", "Connection: keep-alive", version="1.0"))
    assert response.startswith(b"HTTP/1.0 200 OK\r\n")
    assert header(response, "transfer-encoding") == []
    assert header(response, "connection") == []
    assert body_of(response) == b"onetwo"


async def test_http_1_0_keeps_a_connection_it_asked_to_keep_when_the_length_is_known() -> None:
    async with edge(sized(b"12")) as it, Client(it.port) as client:
        for _ in range(2):
            client.send(get("/", "Connection: keep-alive", version="1.0"))
            assert header(await client.head(), "connection") == ["keep-alive"]
            assert await client.exactly(2) == b"12"


async def test_headers_keep_their_order_their_repeats_and_nothing_is_added() -> None:
    headers = (
        (b"set-cookie", b"a=1"),
        (b"x-one", b"\xc3\xa4"),
        (b"set-cookie", b"b=2; Path=/"),
        (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (b"x-dialback-exchange", b"forged"),
    )
    async with edge(answer(headers=headers)) as it:
        response = await it.ask(get())
        exchange = it.driver.served[0][1]
    assert response.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:] == [
        b"set-cookie: a=1",
        b"x-one: \xc3\xa4",
        b"set-cookie: b=2; Path=/",
        b"date: Sun, 06 Nov 1994 08:49:37 GMT",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"x-dialback-exchange: " + exchange.encode(),
    ]


async def test_a_date_is_added_when_there_is_none() -> None:
    async with edge(answer()) as it:
        (date,) = header(await it.ask(get()), "date")
    assert date.endswith(" GMT")


async def test_event_streams_ask_proxies_not_to_hold_them_back() -> None:
    events = ((b"content-type", b"text/event-stream; charset=utf-8"),)
    async with edge(answer(headers=events)) as it:
        response = await it.ask(get())
    assert header(response, "x-accel-buffering") == ["no"]
    assert header(response, "cache-control") == ["no-transform"]
    theirs = (*events, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"yes"))
    async with edge(answer(headers=theirs)) as it:
        response = await it.ask(get())
    assert header(response, "cache-control") == ["no-cache"]
    assert header(response, "x-accel-buffering") == ["yes"]


async def test_the_head_leaves_at_once_when_no_body_follows_yet() -> None:
    go_on = asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        await go_on.wait()
        sink.end()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get())
        assert (await client.head()).startswith(b"HTTP/1.1 200")
        go_on.set()
        assert await client.rest() == b"0\r\n\r\n"


async def test_head_and_first_bytes_share_a_packet() -> None:
    async with edge(answer(b"first")) as it, Client(it.port) as client:
        client.send(get())
        packet = await asyncio.wait_for(client.reader.read(65536), PATIENCE)
    assert b"\r\n\r\n5\r\nfirst\r\n" in packet


@pytest.mark.parametrize("length", [None, 5])
async def test_what_leaves_in_one_turn_is_one_write(
    length: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []

    def write_parts(transport: asyncio.WriteTransport, parts: Sequence[bytes]) -> None:
        written.append(b"".join(parts))
        transport.write(written[-1])

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=length)
        sink.write([b"hello"], last=True)
        assert not sink.blocked
        sink.end()

    monkeypatch.setattr("gateway.edge.response.write_parts", write_parts)
    async with edge(serve) as it:
        answer = await it.ask(get())
    assert written == [answer]
    assert body_of(answer) == (b"hello" if length else b"5\r\nhello\r\n0\r\n\r\n")


async def test_the_last_bytes_leave_at_once_when_no_end_follows_yet() -> None:
    ending = asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write([b"hello"], last=True)
        await ending.wait()
        sink.end()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get())
        await client.until(b"5\r\nhello\r\n")
        ending.set()
        assert await client.rest() == b"0\r\n\r\n"


async def test_a_header_that_would_split_the_response_is_refused() -> None:
    async with edge(answer(headers=((b"x-evil", b"1\r\nset-cookie: a=1"),))) as it:
        response = await it.ask(get())
    assert response.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in response


# ---------------------------------------------------------------- errors as responses


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_error_before_the_head_is_json_with_the_exchange(method: str) -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        raise FunctionFailed("secret detail")

    async with edge(serve) as it:
        response = await it.ask(get(method=method))
        exchange = it.driver.served[0][1]
    assert response.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert header(response, "content-type") == ["application/json"]
    assert header(response, "x-dialback-exchange") == [exchange]
    assert len(exchange) == 32
    assert int(exchange, 16) >= 0
    expected = {"error": "the function failed", "exchange": exchange}
    if method == "HEAD":
        assert body_of(response) == b""
    else:
        assert json.loads(body_of(response)) == expected


async def test_overload_says_when_to_come_back() -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        raise Overloaded("full", retry_after=7)

    async with edge(serve) as it:
        response = await it.ask(get())
    assert response.startswith(b"HTTP/1.1 503 ")
    assert header(response, "retry-after") == ["7"]


async def test_a_bug_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        raise KeyError("internal detail")

    async with edge(serve) as it:
        response = await it.ask(get())
    assert response.startswith(b"HTTP/1.1 500 ")
    assert b"detail" not in response
    assert "internal detail" in caplog.text
