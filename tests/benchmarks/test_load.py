"""The instrument before the figures: the client reads what was sent, and dialback stands the load."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import load
from tests.benchmarks.client import Client, Connection, Exchange
from tests.benchmarks.measures import Figure, Results
from tests.benchmarks.servers import WORKLOAD, Contender, DialbackContender, InlineAnswerError
from tests.system.running import running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.load import Round
    from tests.system.running import Dialback

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n1\r\n\n\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"
)
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def reading(response: bytes, step: int) -> tuple[Exchange, bytes]:
    """Feed a response to a connection in pieces of `step` bytes."""
    connection, body = Connection(), bytearray()
    done = asyncio.get_running_loop().create_future()
    exchange = connection.exchange = Exchange(done, body.extend)
    for start in range(0, len(response), step):
        connection.data_received(response[start : start + step])
    connection.connection_lost(None)
    return exchange, bytes(body)


@pytest.mark.parametrize("step", [*range(1, 12), 1000])
async def test_client_reads_responses_cut_anywhere(step: int) -> None:
    exchange, body = await reading(CHUNKED, step)
    assert (body, exchange.end, exchange.whole) == (b"hello\n0123456789", "complete", True)
    exchange, body = await reading(PLAIN, step)
    assert (body, exchange.size, exchange.whole) == (b"hello", 5, True)


@pytest.mark.parametrize("response", [CHUNKED, PLAIN], ids=["chunked", "length"])
async def test_client_tells_a_cut_response_from_a_whole_one(response: bytes) -> None:
    for length in range(len(response)):
        exchange, _ = await reading(response[:length], 7)
        assert exchange.end == "truncated"


@pytest.fixture(scope="module")
def dialback() -> Iterator[Dialback]:
    with running_dialback(WORKLOAD) as running:
        yield running


@pytest.mark.parametrize("kind", ["tiny", "ticks", "1 KiB", "64 KiB"])
async def test_every_response_under_load_is_whole_and_streamed(
    dialback: Dialback, kind: str
) -> None:
    contender = DialbackContender(dialback)
    before = await asyncio.to_thread(contender.frames)
    found = await small_load(contender.client, kind)
    after = await asyncio.to_thread(contender.frames)
    assert not found.broken
    assert found.whole > 0
    assert after > before


async def small_load(client: Client, kind: str) -> Round:
    match kind:
        case "tiny":
            return await load.first_bytes(client, requests=100, at_once=10, stay_ms=100)
        case "ticks":
            return await load.chunk_ages(client, streams=12, ticks=50)
        case "1 KiB":
            return await load.bulk(client, chunk=1024, total=4 << 20, streams=4)
        case _:
            return await load.bulk(client, chunk=65536, total=16 << 20, streams=4)


def test_an_inline_answer_stops_the_benchmark(dialback: Dialback) -> None:
    with pytest.raises(InlineAnswerError):
        DialbackContender(dialback).check(frames=9, responses=10)
    Contender("direct", dialback.url).check(frames=0, responses=10)


def test_a_target_that_was_missed_is_called_missed() -> None:
    times = Figure("first byte", "ms", lambda found: found.seconds, 20.0, less_is_better=True)
    rates = Figure("chunks", "/s", lambda found: found.amount, 0.5)
    assert [times.reached(20.0), times.reached(20.1)] == [True, False]
    assert [rates.reached(0.5), rates.reached(0.49)] == [True, False]
    assert rates.reached(None) is False
    assert Results(medians={rates: {"direct": 4.0}}).ratio(rates) is None
