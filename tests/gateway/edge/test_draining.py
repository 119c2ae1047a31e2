"""An edge that takes nothing new: what it refuses, and what it closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.gateway.edge.serving import PLAIN, Client, answer, edge, get
from tests.gateway.edge.test_request import refusal

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink

KEEP = "Connection: keep-alive"


async def test_draining_refuses_and_closes() -> None:
    async with edge(answer()) as it:
        it.handler.drain()
        response = await it.ask(get("/", "Connection: keep-alive"))
    assert refusal(response)[0] == 503
    assert b"retry-after: 1" in response
    assert b"Connection: close" in response


@pytest.mark.fault(20)
@pytest.mark.parametrize("head_is_out", [False, True])
async def test_the_connection_of_a_response_that_is_under_way_closes_after_it(
    *, head_is_out: bool
) -> None:
    go_on = asyncio.Event()

    async def serve(request: EdgeRequest, sink: ResponseSink) -> None:
        if not head_is_out:
            await go_on.wait()
        sink.begin(200, PLAIN, length=None)
        sink.write([b"begun"])
        await go_on.wait()
        sink.end()

    async with edge(serve) as it, Client(it.port) as client:
        client.send(get("/", KEEP))
        while not it.driver.requests:
            await asyncio.sleep(0)
        response = await client.until(b"begun\r\n") if head_is_out else b""
        it.handler.drain()
        go_on.set()
        response += await client.rest()  # to the end of the connection
    assert response.endswith(b"begun\r\n0\r\n\r\n")
    assert (b"Connection: close" in response) is not head_is_out
