"""What comes in: bodies, keep-alive, and what is refused."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.errors import ClientBodyError
from tests.gateway.edge.serving import PLAIN, Client, answer, edge, get, sized, unchunk
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink

BODY = bytes(range(256)) * 3
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: example\r\n\r\n"


def post(body: bytes, *headers: str) -> bytes:
    return get("/", f"Content-Length: {len(body)}", *headers, method="POST") + body


async def echo(request: EdgeRequest, sink: ResponseSink) -> None:
    body, whole = await request.body.read_up_to(10)
    rest = [] if whole else [chunk async for chunk in request.body.chunks()]
    sink.begin(200, PLAIN, length=None)
    sink.write([body, *rest])
    sink.end()


async def echoed(request: bytes) -> bytes:
    async with edge(echo) as it:
        response = await it.ask(request)
    assert response.startswith(b"HTTP/1.1 200 ")
    return b"".join(unchunk(response.partition(b"\r\n\r\n")[2]))


def refusal(response: bytes) -> tuple[int, dict[str, str]]:
    """Status and JSON of an error response."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    fields = json.loads(body)
    assert f"x-dialback-exchange: {fields['exchange']}".encode() in head
    return int(head.split(b" ")[1]), fields


# ---------------------------------------------------------------- bodies


async def test_a_body_of_known_length_arrives_byte_for_byte() -> None:
    assert await echoed(post(BODY)) == BODY
    assert await echoed(post(b"")) == b""
    assert await echoed(post(b"0123456789")) == b"0123456789"


async def test_a_chunked_body_arrives_byte_for_byte() -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (BODY[:7], BODY[7:700], BODY[700:]))
    request = get("/", "Transfer-Encoding: chunked", method="POST") + chunks + b"0\r\n\r\n"
    assert await echoed(request) == BODY


async def test_a_compressed_body_is_passed_on_as_it_came() -> None:
    assert await echoed(post(b"not really gzip", "Content-Encoding: gzip")) == b"not really gzip"


@pytest.mark.parametrize(
    ("headers", "length"),
    [([], 0), (["Content-Length: 3"], 3), (["Transfer-Encoding: chunked"], None)],
)
async def test_the_length_is_known_before_the_body_is_read(
    headers: list[str], length: int | None
) -> None:
    async with edge(answer()) as it, Client(it.port) as client:
        client.send(get("/", *headers, method="POST"))
        await client.head()
        assert it.driver.requests[0].body.length == length


async def test_reading_nothing_does_not_wait() -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        assert await request.body.read_up_to(0) == (b"", False)
        await echo(request, sink)

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"abc")
        assert b"3\r\nabc\r\n" in await client.rest()


async def test_a_body_nobody_reads_is_never_asked_for() -> None:
    async with edge(answer(b"no")) as it, Client(it.port) as client:
        client.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        response = await client.rest()
    assert response.startswith(b"HTTP/1.1 200 ")
    assert b"100 Continue" not in response


async def test_no_interim_response_once_the_head_has_left() -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write([(await request.body.read_up_to(10))[0]])
        sink.end()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        client.send(b"abc")
        assert await client.rest() == b"3\r\nabc\r\n0\r\n\r\n"


async def test_a_malformed_chunk_is_a_body_error() -> None:
    failures: list[ClientBodyError] = []
    reading = asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        reading.set()
        try:
            await request.body.read_up_to(1000)
        except ClientBodyError as error:
            failures.append(error)
            raise

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n")
        await asyncio.wait_for(reading.wait(), PATIENCE)
        client.send(b"nonsense\r\n")
        response = await client.rest()
    assert refusal(response)[0] == 400
    assert len(failures) == 1
    assert response.count(b"HTTP/1.1") == 1


async def test_a_client_that_leaves_in_its_body_cancels_the_exchange() -> None:
    reading, ended = asyncio.Event(), asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        reading.set()
        try:
            await request.body.read_up_to(1000)
        finally:
            ended.set()

    async with edge(serve) as it:
        async with Client(it.port) as client:
            client.send(get("/", "Content-Length: 9", method="POST") + b"abc")
            await asyncio.wait_for(reading.wait(), PATIENCE)
        await asyncio.wait_for(ended.wait(), PATIENCE)
        await asyncio.wait_for(it.handler.idle(), PATIENCE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells (EPOLLRDHUP)")
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_client_that_leaves_while_its_body_waits_cancels_the_exchange(how: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get("/", f"Content-Length: {2**30}", method="POST") + bytes(2**20))
        await client.writer.drain()
        await asyncio.wait_for(begun.wait(), PATIENCE)
        getattr(client.writer.transport, how)()
        await asyncio.wait_for(ended.wait(), PATIENCE)
        await asyncio.wait_for(it.handler.idle(), PATIENCE)


async def test_a_slow_consumer_slows_the_client_down() -> None:
    go_on = asyncio.Event()
    taken = 0

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        nonlocal taken
        taken += len((await request.body.read_up_to(1))[0])
        await go_on.wait()
        async for chunk in request.body.chunks():
            taken += len(chunk)
        sink.begin(204, (), length=None)
        sink.end()

    total = 32 * 1024 * 1024
    async with edge(serve) as it, Client(it.port) as client:
        client.send(get("/", f"Content-Length: {total}", method="POST"))
        client.send(bytes(total))
        drain = asyncio.create_task(client.writer.drain())
        done, _ = await asyncio.wait([drain], timeout=0.3)
        assert not done
        go_on.set()
        await asyncio.wait_for(drain, PATIENCE)
        assert (await client.head()).startswith(b"HTTP/1.1 204 ")
    assert taken == total


# ---------------------------------------------------------------- connections


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        await asyncio.sleep(0)
        sink.begin(200, PLAIN, length=None)
        sink.write([request.path.encode()])
        sink.end()

    async with edge(serve) as it:
        response = await it.ask(
            b"".join(get(f"/{n}", "Connection: keep-alive") for n in range(40)) + get("/last")
        )
    bodies = [part for part in response.split(b"\r\n") if part.startswith(b"/")]
    assert bodies == [*(f"/{n}".encode() for n in range(40)), b"/last"]


async def test_a_small_unread_body_keeps_the_connection() -> None:
    async with edge(sized(b"ok")) as it, Client(it.port) as client:
        client.send(get("/", "Connection: keep-alive", "Content-Length: 9", method="POST"))
        assert b"Connection: close" not in await client.head()
        assert await client.exactly(2) == b"ok"
        client.send(b"123456789" + get("/next"))
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert [request.path for request in it.driver.requests] == ["/", "/next"]


async def test_a_large_unread_body_ends_the_connection_and_the_answer_arrives() -> None:
    total = 16 * 1024 * 1024
    async with edge(sized(b"ok")) as it, Client(it.port) as client:
        client.send(get("/", "Connection: keep-alive", f"Content-Length: {total}", method="POST"))
        client.send(bytes(total // 2))
        assert (await client.rest()).endswith(b"\r\n\r\nok")
        assert len(it.driver.requests) == 1


async def test_a_refused_large_body_says_that_the_connection_ends() -> None:
    async with edge(answer()) as it, Client(it.port) as client:
        headers = ["Connection: keep-alive", "Content-Length: 9999999"]
        client.send(get("*", *headers, method="OPTIONS"))
        response = await client.rest()
    assert refusal(response)[0] == 404
    assert b"Connection: close" in response


# ---------------------------------------------------------------- refusals


async def test_no_route_is_404() -> None:
    async with edge(answer()) as it:
        response = await it.ask(get("*", method="OPTIONS"))
        assert it.driver.requests == []
        assert b'dialback_edge_refusals_total{status="404"} 1.0' in it.telemetry.render()
    status, fields = refusal(response)
    assert (status, fields["error"]) == (404, "no route matches this path")


@pytest.mark.parametrize(
    "request_head",
    [
        get("/", "Connection: Upgrade", "Upgrade: websocket"),
        get("/", "Connection: keep-alive, upgrade", "Upgrade: something/2"),
        get("/", "Connection: keep-alive", "Connection: Upgrade", "Upgrade: websocket"),
        get("/", "Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"),
        get("example:443", "Connection: close", method="CONNECT"),
    ],
)
async def test_upgrades_are_501(request_head: bytes) -> None:
    async with edge(answer()) as it:
        assert refusal(await it.ask(request_head))[0] == 501
        assert it.driver.requests == []


async def test_a_transfer_coding_that_is_not_undone_here_is_501() -> None:
    async with edge(answer()) as it:
        headers = ["Connection: keep-alive", "Transfer-Encoding: gzip, chunked"]
        request = get("/", *headers, method="POST") + b"0\r\n\r\n"
        status, fields = refusal(await it.ask(request + SMUGGLED))
        assert it.driver.requests == []
    assert (status, fields["error"]) == (501, "of transfer codings only chunked is supported")


async def test_an_offer_of_h2c_is_ignored() -> None:
    async with edge(answer()) as it, Client(it.port) as client:
        client.send(get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"))
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nbad header: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_cannot_be_parsed_is_400_json_and_the_end(request_bytes: bytes) -> None:
    async with edge(answer()) as it:
        response = await it.ask(request_bytes + SMUGGLED)
        status, fields = refusal(response)
        assert it.driver.requests == []
    assert (status, fields["error"]) == (400, "bad request")
    assert response.count(b"HTTP/1.") == 1


async def test_a_log_line_tells_the_exchange_and_not_the_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "dialback")
    async with edge(answer(b"12345")) as it:
        await it.ask(get("/path?token=secret"))
        exchange = it.driver.served[0][1]
    (record,) = [record for record in caplog.records if record.name == "dialback.access"]
    assert record.getMessage() == "GET /path"
    facts = vars(record)
    assert (facts["exchange"], facts["status"], facts["bytes"]) == (exchange, 200, 5)
    assert (facts["outcome"], facts["route"]) == ("completed", "/")
    assert "secret" not in str(facts)
