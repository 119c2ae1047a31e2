"""An event stream that breaks off tells its reader, between two events, and is visibly broken."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING

import pytest

from gateway.edge import response as edge_response
from tests.gateway.edge.serving import Client, Edge, connect, edge, get
from tests.gateway.exchange.asking import stands_still
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink
    from protocol.headers import HeaderList
    from tests.gateway.edge.serving import Serve

EVENTS: HeaderList = ((b"content-type", b"text/event-stream; charset=utf-8"),)
WHOLE = b"data: one\n\n"
HALF = b"data: one\n\ndata: tw"
REASON = "the function failed"


def breaking(*parts: bytes, headers: HeaderList = EVENTS, status: int = 200) -> Serve:
    """Serve these parts and break off."""

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(status, headers, length=None)
        for part in parts:
            sink.write([part])
        await sink.drained()
        await sink.break_off(REASON)

    return serve


def error_event(it: Edge, reason: str = REASON) -> bytes:
    described = json.dumps({"error": reason, "exchange": it.driver.served[0][1]})
    return f"event: error\ndata: {described}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def broken(it: Edge, request: bytes) -> tuple[bytes, bool]:
    """The body that came, and whether a reset ended it."""
    received, reset = await asyncio.to_thread(_exchange, it.port, request)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.") or reset
    return body, reset


def _exchange(port: int, request: bytes) -> tuple[bytes, bool]:
    """With a plain socket: a `StreamReader` forgets what it holds when a reset comes."""
    received = b""
    with connect(port) as client:
        client.sendall(request)
        try:
            while piece := client.recv(65536):
                received += piece
        except (ConnectionResetError, ssl.SSLEOFError):  # Python's ssl calls a reset an EOF
            return received, True
    return received, False


@pytest.mark.parametrize("parts", [(), (WHOLE,), (b"\xef\xbb\xbf: hi\r", b"\n\r", b"\n")])
async def test_between_events_the_reader_is_told_and_no_end_follows(
    parts: tuple[bytes, ...],
) -> None:
    async with edge(breaking(*parts)) as it:
        body, reset = await broken(it, get("/", "Connection: keep-alive"))
        expected = b"".join(map(chunk, (*parts, error_event(it))))
    assert (body, reset) == (expected, False)


async def test_in_the_middle_of_an_event_nothing_is_added() -> None:
    async with edge(breaking(HALF)) as it:
        body, reset = await broken(it, get())
    assert reset
    assert body in (chunk(HALF), b"")


async def test_a_body_of_promised_length_stays_short_of_it() -> None:
    headers = (*EVENTS, (b"content-length", b"1000"))
    async with edge(breaking(WHOLE, headers=headers)) as it:
        body, reset = await broken(it, get("/", "Connection: keep-alive"))
        assert (body, reset) == (WHOLE + error_event(it), False)


async def test_an_event_that_would_complete_the_promised_length_is_not_sent() -> None:
    event = b'event: error\ndata: {"error": "%s", "exchange": "%s"}\n\n'
    length = len(WHOLE + event % (REASON.encode(), bytes(32)))
    headers = (*EVENTS, (b"content-length", b"%d" % length))
    async with edge(breaking(WHOLE, headers=headers)) as it:
        body, reset = await broken(it, get())
    assert reset
    assert body in (WHOLE, b"")


async def test_where_a_close_would_look_like_an_end_a_reset_follows_the_event() -> None:
    async with edge(breaking(WHOLE)) as it:
        body, reset = await broken(it, get(version="1.0"))
        assert (body, reset) == (WHOLE + error_event(it), True)


@pytest.mark.parametrize(
    "headers",
    [
        ((b"content-type", b"text/plain"),),
        ((b"content-type", b"text/event-stream-like"),),
        (*EVENTS, (b"content-encoding", b"gzip")),
    ],
)
async def test_what_is_no_plain_event_stream_is_reset_as_ever(headers: HeaderList) -> None:
    async with edge(breaking(WHOLE, headers=headers)) as it:
        body, reset = await broken(it, get())
    assert reset
    assert b"event: error" not in body


async def test_the_route_can_turn_it_off() -> None:
    async with edge(breaking(WHOLE), sse_error_event=False) as it:
        body, reset = await broken(it, get())
    assert reset
    assert b"event: error" not in body


async def test_a_response_without_a_body_gets_no_event() -> None:
    async with edge(breaking(WHOLE)) as it:
        body, reset = await broken(it, get(method="HEAD"))
    assert (body, reset) == (b"", True)


async def test_the_event_arrives_although_the_client_is_still_sending() -> None:
    async with edge(breaking(WHOLE)) as it, Client(it.port) as client:
        client.send(get("/", f"Content-Length: {2**30}", method="POST") + bytes(2**20))
        await client.head()
        expected = chunk(WHOLE) + chunk(error_event(it))
        assert await client.exactly(len(expected)) == expected
        client.send(bytes(2**20))
        assert await client.rest() == b""


async def fill(sink: ResponseSink) -> None:
    """Write until nobody takes any more: not the kernel, and not what a client has of its own, as TLS has."""
    while await takes_more(sink):
        sink.write([WHOLE * 1000])


async def takes_more(sink: ResponseSink) -> bool:
    if sink.blocked:
        await stands_still(lambda: sink.pending)
    return not sink.blocked


async def test_a_reader_that_takes_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(edge_response, "TELL_SECONDS", 0.05)

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, EVENTS, length=None)
        await fill(sink)
        await sink.break_off(REASON)

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get())
        await client.head()
        await asyncio.wait_for(it.handler.idle(), PATIENCE)
        with pytest.raises(ConnectionResetError):
            await client.rest()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_readers_are_told_when_the_gateway_stops_at_once(version: str) -> None:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, EVENTS, length=None)
        sink.write([WHOLE])
        await asyncio.Event().wait()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get(version=version))
        await client.until(WHOLE)
        it.handler.abort()
        event = error_event(it, "the gateway is shutting down")
        assert (await client.until(event)).endswith(event)
        if version == "1.0":
            with pytest.raises(ConnectionResetError):
                await client.rest()
        else:
            assert await client.rest() == b"\r\n"
