"""What a client decodes of a compressed body, and when; how large pieces go; and ends that are none."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import random
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.edge.compression import Gzip
from gateway.edge.response import WRITE_HIGH_WATER
from gateway.edge.slices import SLICE
from tests.gateway.edge.serving import PLAIN, Client, answer, edge, get, unchunk
from tests.gateway.edge.test_broken_events import EVENTS, breaking, broken, error_event
from tests.gateway.edge.test_compression import (
    TAKES_GZIP,
    TEXT,
    Decoder,
    body_of,
    headers_of,
    response_to,
)
from tests.gateway.edge.test_heartbeat import BEAT, Stage
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink
    from tests.gateway.edge.serving import Serve


async def test_each_write_is_there_before_the_next() -> None:
    stage, decoder = Stage(PLAIN), Decoder()
    async with edge(stage.serve, compress=True) as it, Client(it.port) as client:
        client.send(get("/", TAKES_GZIP))
        await client.head()
        for piece in (b"one", b"two" * 1000, b"3"):
            stage.send(piece)
            assert decoder.feed(await _chunk(client)) == piece
            assert not decoder.whole
        stage.send(None)
        assert decoder.feed(await _chunk(client)) == b""
        assert decoder.whole
        assert await client.rest() == b"0\r\n\r\n"


async def _chunk(client: Client) -> bytes:
    size = int((await client.until(b"\r\n"))[:-2], 16)
    return (await client.exactly(size + 2))[:-2]


PIECES = st.lists(
    st.one_of(st.binary(max_size=300), st.builds(bytes, st.integers(0, 3 * SLICE))), max_size=8
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PIECES)
def test_whatever_the_pieces_the_client_decodes_what_was_written(pieces: list[bytes]) -> None:
    async def run() -> bytes:
        async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
            sink.begin(200, PLAIN, length=None)
            for piece in pieces:
                sink.write([piece[:7], piece[7:]])
                assert await sink.drained()
            assert sink.end()

        return await response_to(serve, get("/", TAKES_GZIP))

    chunks = unchunk(body_of(asyncio.run(run())))
    assert gzip.decompress(b"".join(chunks)) == b"".join(pieces)


@given(st.lists(st.binary(min_size=1, max_size=100)))
def test_a_client_has_all_that_was_fed(pieces: list[bytes]) -> None:
    gzip_, decoder = Gzip(), Decoder()
    for piece in pieces:
        coded = gzip_.feed([piece])
        assert coded, "a chunk of no bytes would be the end"
        assert decoder.feed(coded) == piece
    decoder.feed(gzip_.finish())
    assert decoder.whole


# ---------------------------------------------------------------- large pieces


async def test_a_large_piece_is_compressed_slice_by_slice_and_others_have_their_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    turns_at: list[int] = []
    turns = 0

    def feed(self: Gzip, parts: Any) -> bytes:
        sizes.append(sum(map(len, parts)))
        turns_at.append(turns)
        return original(self, parts)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        task = asyncio.create_task(others())
        sink.begin(200, PLAIN, length=len(whole))
        sink.write([whole[:5], whole[5:]], last=True)
        blocked.append(sink.blocked)
        pending.append(sink.pending)
        assert await sink.drained()
        blocked.append(sink.blocked)
        assert sink.end()
        task.cancel()

    original = Gzip.feed
    monkeypatch.setattr(Gzip, "feed", feed)
    whole, pending, blocked = TEXT * 200, list[int](), list[bool]()
    response = await response_to(serve, get("/", TAKES_GZIP))
    assert gzip.decompress(b"".join(unchunk(body_of(response)))) == whole
    assert max(sizes) == SLICE
    assert blocked == [True, False]
    assert pending[0] >= len(whole) - SLICE, "what waits is not taken yet"
    assert all(before < after for before, after in itertools.pairwise(turns_at))


async def test_a_client_that_reads_nothing_stops_the_compression() -> None:
    """Noise, since anything else would fit the kernel's buffers, which hold up to 4 MiB."""

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write([noise])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await sink.drained()
        left.append(sink.pending)
        assert sink.blocked
        go_on.set()
        assert await sink.drained()
        assert sink.end()

    noise = random.Random(1).randbytes(8 * 1024 * 1024)
    left, go_on = list[int](), asyncio.Event()
    async with (
        edge(serve, compress=True) as it,
        Client(it.port) as client,
        asyncio.timeout(PATIENCE),
    ):
        raw = client.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.send(get("/", TAKES_GZIP))
        await client.head()
        await go_on.wait()
        body = b"".join(unchunk(await client.rest()))
    assert left[0] > WRITE_HIGH_WATER
    assert gzip.decompress(body) == noise


# ---------------------------------------------------------------- ends that are none


async def test_a_stream_that_breaks_off_has_neither_trailer_nor_last_chunk() -> None:
    async with edge(breaking(TEXT, headers=PLAIN), compress=True) as it:
        body, reset = await broken(it, get("/", TAKES_GZIP))
    assert reset
    assert not body.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("padding", [0, 20 * SLICE], ids=["small", "sliced"])
async def test_an_event_stream_that_breaks_off_says_so_in_gzip(padding: int) -> None:
    part = b":" + b" " * padding + b"\n\ndata: one\n\n"
    async with edge(breaking_at_once(part), compress=True) as it:
        body, reset = await broken(it, get("/", TAKES_GZIP))
        expected = part + error_event(it)
    decoder = Decoder()
    assert decoder.feed(b"".join(_whole_chunks(body))) == expected
    assert (decoder.whole, reset) == (False, False)


def breaking_at_once(part: bytes) -> Serve:
    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, EVENTS, length=None)
        sink.write([part])
        await sink.break_off("the function failed")

    return serve


def _whole_chunks(body: bytes) -> list[bytes]:
    """The chunks of a body that lacks the last one."""
    return unchunk(body + b"0\r\n\r\n")


async def test_an_end_before_the_last_slice_is_none() -> None:
    """The forwarder never does that; should it once, nobody may take it for the whole."""

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=None)
        sink.write([TEXT * 200])
        assert not sink.end()

    async with edge(serve, compress=True) as it:
        body, reset = await broken(it, get("/", TAKES_GZIP))
    assert reset
    assert not body.endswith(b"0\r\n\r\n")


async def test_comments_of_a_quiet_stream_are_compressed_as_well() -> None:
    stage, decoder = Stage(EVENTS), Decoder()
    async with (
        edge(stage.serve, compress=True, sse_heartbeat=BEAT) as it,
        Client(it.port) as client,
    ):
        client.send(get("/", TAKES_GZIP))
        assert headers_of(await client.head())["content-encoding"] == ["gzip"]
        assert decoder.feed(await _chunk(client)) == b":\n\n"
        stage.send(b"data: one\n\n")
        seen = b""
        while not seen.endswith(b"data: one\n\n:\n\n"):
            seen += decoder.feed(await _chunk(client))
        stage.send(None)
        while not decoder.whole:
            seen += decoder.feed(await _chunk(client))
    assert seen.replace(b":\n\n", b"") == b"data: one\n\n"


async def test_the_access_line_counts_both(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "dialback.access")
    response = await response_to(answer(TEXT), get("/", TAKES_GZIP))
    (line,) = (vars(one) for one in caplog.records if one.name == "dialback.access")
    assert line["bytes"] == len(TEXT)
    assert line["compressed"] == len(b"".join(unchunk(body_of(response))))
