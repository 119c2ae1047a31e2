"""The client behind every figure reads what was sent, however it is cut."""

from __future__ import annotations

import asyncio

import pytest

from tests.benchmarks.client import Connection, Exchange

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
