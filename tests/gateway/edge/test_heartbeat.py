"""A quiet event stream is kept alive by comments: between its events, and nowhere else."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from gateway.edge.response import WRITE_HIGH_WATER
from tests.gateway.edge.serving import PLAIN, Client, edge, get, unchunk
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE
from tests.settling import settle

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink
    from protocol.headers import HeaderList

EVENTS: HeaderList = ((b"content-type", b"text/event-stream"),)
BEAT = 0.05
QUIET = 0.4
"""Eight beats: in this time one comes, however busy the machine is."""
BEATING = b"3\r\n:\n\n\r\n"
BOM = b"\xef\xbb\xbf"


class Stage:
    """Serves a stream whose pieces a test sends one by one; None ends it."""

    def __init__(self, headers: HeaderList = EVENTS) -> None:
        self._headers = headers
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.sink: ResponseSink | None = None

    def send(self, piece: bytes | None) -> None:
        self._pieces.put_nowait(piece)

    async def serve(self, request: EdgeRequest, sink: ResponseSink) -> None:
        self.sink = sink
        sink.begin(200, self._headers, length=None)
        while (piece := await self._pieces.get()) is not None:
            sink.write([piece])
        sink.end()


async def quietly(*pieces: bytes, headers: HeaderList = EVENTS, request: bytes = b"") -> bytes:
    """The body of a stream that is quiet before, between and after its pieces."""
    stage = Stage(headers)
    async with edge(stage.serve, sse_heartbeat=BEAT) as it, Client(it.port) as client:
        client.send(request or get())
        await client.head()
        for piece in (*pieces, None):
            await asyncio.sleep(QUIET)
            stage.send(piece)
            await settle()  # it is quiet from when it was written
        return await client.rest()


def without_comments(body: bytes) -> tuple[bytes, int]:
    """What the function sent, and how many comments came with it."""
    chunks = unchunk(body)
    return b"".join(one for one in chunks if one != b":\n\n"), chunks.count(b":\n\n")


async def test_comments_come_before_between_and_after_events() -> None:
    stage = Stage()
    async with edge(stage.serve, sse_heartbeat=BEAT) as it, Client(it.port) as client:
        client.send(get("/", "Connection: keep-alive"))
        await client.head()
        for _ in range(3):
            assert await client.exactly(len(BEATING)) == BEATING
        for event in (b"data: one\n\n", b"id: 2\r\ndata: two\r\n\r\n"):
            stage.send(event)
            await client.until(event + b"\r\n")
            assert await client.exactly(len(BEATING)) == BEATING
        stage.send(None)
        await client.until(b"0\r\n\r\n")
        client.send(get("/next"))  # and none came behind the end
        await asyncio.sleep(QUIET)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")


async def test_the_comments_are_no_bytes_of_the_function(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "dialback")
    sent, beats = without_comments(await quietly(b"data: one\n\n"))
    assert sent == b"data: one\n\n"
    assert beats >= 2
    (record,) = [record for record in caplog.records if record.name == "dialback.access"]
    assert (vars(record)["bytes"], vars(record)["outcome"]) == (len(sent), "completed")


@pytest.mark.parametrize(
    "half", [b"data: tw", b"data: two\n", b"data: two\r\n", b": a comment", b"\xef\xbb\xbfd"]
)
async def test_none_comes_inside_an_event(half: bytes) -> None:
    stage = Stage()
    async with edge(stage.serve, sse_heartbeat=BEAT) as it, Client(it.port) as client:
        stage.send(half)
        client.send(get())
        await client.until(half + b"\r\n")
        await asyncio.sleep(QUIET)
        stage.send(b"o\n\n")
        assert await client.exactly(8) == b"3\r\no\n\n\r\n"
        assert await client.exactly(len(BEATING)) == BEATING


async def test_a_line_end_in_two_pieces_makes_no_event_of_its_own() -> None:
    sent, beats = without_comments(await quietly(b"data: one\r\n\r", b"\ndata: two\n\n"))
    assert sent == b"data: one\r\n\r\ndata: two\n\n"
    assert beats >= 3


@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        ((BOM + b"data: one\n\n",), b"data: one\n\n"),
        ((BOM[:1], b"", BOM[1:2], BOM[2:] + b"data: one\n\n"), b"data: one\n\n"),
        ((b"data: one\n\n", BOM), b"data: one\n\n" + BOM),
        ((BOM[:2], b"x\n\n", BOM), BOM[:2] + b"x\n\n" + BOM),
        ((BOM[:2],), BOM[:2]),
        ((BOM + BOM,), BOM),
    ],
)
async def test_behind_a_comment_no_byte_order_mark_leads(
    pieces: tuple[bytes, ...], sent: bytes
) -> None:
    got, beats = without_comments(await quietly(*pieces))
    assert got == sent
    assert beats


async def test_a_byte_order_mark_at_the_beginning_stays() -> None:
    stage = Stage()
    async with edge(stage.serve, sse_heartbeat=QUIET) as it, Client(it.port) as client:
        for piece in (BOM[:1], BOM[1:], b"data: one\n\n", None):
            stage.send(piece)
        client.send(get())
        await client.head()
        assert b"".join(unchunk(await client.rest())) == BOM + b"data: one\n\n"


SIZED = (*EVENTS, (b"content-length", b"11"))


@pytest.mark.parametrize(
    ("headers", "request_bytes", "body"),
    [
        (PLAIN, get(), b"b\r\ndata: one\n\n\r\n0\r\n\r\n"),
        (SIZED, get(), b"data: one\n\n"),
        (EVENTS, get(method="HEAD"), b""),
        ((*EVENTS, (b"content-encoding", b"gzip")), get(), b"b\r\ndata: one\n\n\r\n0\r\n\r\n"),
    ],
    ids=["other content", "known length", "no body", "coded"],
)
async def test_what_is_no_plain_event_stream_of_open_length_gets_none(
    headers: HeaderList, request_bytes: bytes, body: bytes
) -> None:
    assert await quietly(b"data: one\n\n", headers=headers, request=request_bytes) == body


async def test_http_1_0_gets_them_without_chunks() -> None:
    body = await quietly(b"data: one\n\n", request=get(version="1.0"))
    assert b"data: one\n\n" in body
    assert body.startswith(b":\n\n")
    assert body.replace(b":\n\n", b"") == b"data: one\n\n"


async def test_a_route_can_turn_it_off() -> None:
    async with edge(_one_quiet_event, sse_heartbeat=0) as it:
        assert unchunk((await it.ask(get())).partition(b"\r\n\r\n")[2]) == [b"data: one\n\n"]


async def _one_quiet_event(request: EdgeRequest, sink: ResponseSink) -> None:
    sink.begin(200, EVENTS, length=None)
    sink.write([b"data: one\n\n"])
    await asyncio.sleep(QUIET)
    sink.end()


@pytest.mark.steered
async def test_while_events_come_none_does() -> None:
    count, beat = 7, PATIENCE / 5

    async def busy(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, EVENTS, length=None)
        for _ in range(count):  # all together last several beats
            sink.write([b"data: one\n\n"])
            await pass_time(beat / 2)
        sink.end()

    async with edge(busy, sse_heartbeat=beat) as it:
        body = (await it.ask(get())).partition(b"\r\n\r\n")[2]
    assert unchunk(body) == [b"data: one\n\n"] * count


async def test_a_client_that_takes_nothing_gets_none_on_top() -> None:
    """What the transport holds tells the forwarder whether the client takes anything."""
    stage = Stage()
    async with edge(stage.serve, sse_heartbeat=BEAT) as it, Client(it.port) as client:
        client.send(get())
        await client.head()
        sink = stage.sink
        assert sink is not None
        held = -1
        async with asyncio.timeout(PATIENCE):
            while held != sink.pending:  # which every comment would change
                while not sink.blocked:
                    stage.send(b"data: %s\n\n" % bytes(WRITE_HIGH_WATER))
                    await settle()
                held = sink.pending
                await asyncio.sleep(QUIET)
        stage.send(None)
        sent, _ = without_comments(await client.rest())
        assert sent.count(b"data: ") == sent.count(b"\n\n")


async def test_a_client_that_left_leaves_no_timer_behind() -> None:
    stage = Stage()
    async with edge(stage.serve, sse_heartbeat=3600) as it:
        async with Client(it.port) as client:
            client.send(get())
            await client.head()
            sink, stage.sink = weakref.ref(stage.sink), None
        await asyncio.wait_for(it.handler.idle(), PATIENCE)
        await settle()
        it.driver.requests.clear()
        gc.collect()
        assert sink() is None  # its timer would hold it for an hour
