"""Trailers of a request are dropped, and never become headers of the next one on the connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.gateway.edge.serving import Client, answer, edge, get
from tests.gateway.edge.test_rules import CHUNKED, LAST, POST, read_all
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink

CHUNK = b"3\r\nabc\r\n"
TRAILERS = b"0\r\nX-Sum: 1\r\nAuthorization: theirs\r\n\r\n"
NEXT = get("/next")

WHOLE = {
    "trailers": CHUNK + TRAILERS,
    "trailers of a body without a byte": TRAILERS,
    "a request behind trailers": CHUNK + TRAILERS + NEXT,
    "a request in chunks behind trailers": CHUNK + TRAILERS + CHUNKED + CHUNK + LAST,
    "the beginning of one behind trailers": CHUNK + TRAILERS + NEXT[:-7],
    "a request that follows at once": CHUNK + LAST + NEXT,
    "an extension of the last chunk": CHUNK + b"0;a=b\r\n\r\n",
}


@pytest.mark.fault(56)
@pytest.mark.parametrize("rest", WHOLE.values(), ids=WHOLE)
async def test_where_trailers_may_have_been_nothing_further_is_served(rest: bytes) -> None:
    async with edge(read_all) as it:
        response = await it.ask(CHUNKED + rest)  # to the end of the connection
        assert response.count(b"HTTP/1.1 200 ") == response.count(b"HTTP/1.") == 1
        assert b"Connection: close\r\n" in response
        assert [request.path for request in it.driver.requests] == ["/"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_however_they_come(size: int) -> None:
    async with edge(answer()) as it, Client(it.port) as client:
        client.send(CHUNKED + CHUNK)
        await client.until(b"0\r\n\r\n")  # answered, although the body has not ended
        for at in range(0, len(TRAILERS), size):
            client.send(TRAILERS[at : at + size])
            await asyncio.sleep(0)
        assert await client.rest() == b""
        assert len(it.driver.requests) == 1


async def test_an_answer_that_begins_behind_trailers_says_that_it_is_the_last() -> None:
    asked = asyncio.Event()

    async def read_on(request: EdgeRequest, sink: ResponseSink) -> None:
        asked.set()
        await read_all(request, sink)

    async with edge(read_on) as it, Client(it.port) as client:
        client.send(CHUNKED + CHUNK)
        await asyncio.wait_for(asked.wait(), PATIENCE)
        client.send(TRAILERS)
        assert b"Connection: close\r\n" in await client.head()
        assert await client.rest() == b"abc"


async def test_requests_that_are_sent_along_with_the_end_of_a_body_are_all_served() -> None:
    count = 100
    following = get("/next", "Connection: keep-alive")
    async with edge(answer()) as it, Client(it.port) as client:
        client.send(POST + b"Content-Length: 3\r\n\r\nab")
        await client.until(b"0\r\n\r\n")
        client.send(b"c" + following * count)
        for _ in range(count):
            await client.until(b"0\r\n\r\n")
        assert len(it.driver.requests) == 1 + count


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_without_any_the_connection_goes_on(size: int) -> None:
    async with edge(read_all) as it, Client(it.port) as client:
        for times in range(1, 4):
            request = CHUNKED + CHUNK * times + LAST
            for at in range(0, len(request), size):
                client.send(request[at : at + size])
                await asyncio.sleep(0)
            head = await client.head()
            assert b"Connection: close" not in head
            assert await client.exactly(3 * times) == b"abc" * times
        client.send(NEXT)
        await client.head()
        names = {name for name, _ in it.driver.requests[-1].headers}
        assert not names & {b"x-sum", b"authorization"}


async def test_a_chunked_body_that_breaks_is_still_told_so() -> None:
    async with edge(read_all) as it, Client(it.port) as client:
        client.send(CHUNKED + CHUNK)
        async with asyncio.timeout(PATIENCE):
            while not it.driver.requests:
                await asyncio.sleep(0)
        client.send(b"zz\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
