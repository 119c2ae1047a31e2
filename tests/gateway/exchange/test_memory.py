"""What all exchanges hold together: bounded for each, counted for all, and a line for new ones."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from gateway.journal.budget import TIGHT_WINDOW, MemoryBudget
from protocol.errors import CloseCode
from protocol.limits import INITIAL_WINDOW, KIB, MIB
from tests.gateway.exchange.asking import eventually, get, stands_still
from tests.gateway.exchange.peer import Peer, gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.exchange.peer import GatewayUnderTest

BIG = bytes(range(256)) * (64 * KIB)
"""16 MiB: more than the kernel takes for a reader with a small buffer."""


@asynccontextmanager
async def idle_reader(running: GatewayUnderTest) -> AsyncIterator[asyncio.StreamReader]:
    """A client that has asked, and takes nothing before it is read from."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * KIB)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", running.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=4 * KIB)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    try:
        yield reader
    finally:
        writer.close()


async def serve_big(peer: Peer) -> Any:
    await peer.dial()
    await peer.start()
    await peer.write(BIG)
    return await peer.end()


async def held_by_one_that_stands_still(running: GatewayUnderTest) -> int:
    """Wait until the last exchange moves no byte any more; return how many are held."""
    await eventually(lambda: written(running))
    await stands_still(lambda: written(running))
    return running.store.budget.held


def written(running: GatewayUnderTest) -> int:
    exchanges = running.driver.exchanges()
    return exchanges[-1].body_bytes if exchanges else 0


def window(running: GatewayUnderTest) -> int:
    (journal,) = running.store._living.values()
    return journal._stream._response.body.window


@pytest.mark.fault(26)
async def test_a_reader_that_takes_nothing_holds_one_window_and_stops_the_producer() -> None:
    budget = MemoryBudget()
    async with gateway(serve_big, budget=budget) as running, idle_reader(running) as reader:
        held = await held_by_one_that_stands_still(running)
        assert 0 < held <= window(running)
        assert written(running) < len(BIG)  # the producer waits
        body = await reader.read()
        assert body.endswith(BIG)
        await eventually(lambda: budget.held == 0)
    assert budget.refusals == 0


@pytest.mark.fault(65)
async def test_beyond_the_budget_nothing_new_is_invoked_and_parked_callbacks_go_first() -> None:
    budget = MemoryBudget(INITIAL_WINDOW // 2)
    closed: list[int | None] = []

    async def function(peer: Peer) -> Any:
        if running.invoker.invocations > 1:
            return await serve_big(peer)
        await peer.dial()
        await peer.start()
        receipt = await peer.end()
        closed.append(await peer.closed())
        return receipt

    async with gateway(function, budget=budget) as running:
        budget.on_tight = lambda: running.connections.shed(10)
        await get(running.url)
        await eventually(lambda: running.connections.parked == 1)
        async with idle_reader(running) as reader:
            await eventually(lambda: len(running.driver.exchanges()) == 2)
            assert await held_by_one_that_stands_still(running) >= budget.limit
            response, body = await get(running.url)
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
            assert b"the gateway holds as much as it may" in body
            assert (running.invoker.invocations, budget.refusals) == (2, 1)
            await eventually(lambda: closed)
            assert (await reader.read()).endswith(BIG)  # who is served is served
        await eventually(lambda: budget.held == 0)
        assert (await get(running.url))[0].status == 200
    assert closed == [CloseCode.GOING_AWAY]


@pytest.mark.fault(65)
async def test_near_the_budget_exchanges_begin_with_a_small_window() -> None:
    budget = MemoryBudget(MIB)
    windows: list[int] = []

    async def function(peer: Peer) -> Any:
        windows.append(peer.envelope.window)
        await peer.dial()
        await peer.start()
        await peer.write(bytes(MIB))
        windows.append(window(running))
        return await peer.end()

    async with gateway(function, budget=budget) as running:
        budget.held = MIB - 100 * KIB  # of others
        response, body = await get(running.url)
        assert (response.status, len(body)) == (200, MIB)
        assert windows == [TIGHT_WINDOW, TIGHT_WINDOW]  # it did not grow, although it was used up
        budget.held -= MIB - 100 * KIB
        await get(running.url)
        assert windows[2] == INITIAL_WINDOW
    assert budget.held == 0


async def test_request_bytes_count_until_the_function_has_acknowledged_them() -> None:
    budget = MemoryBudget()
    most = 0

    async def function(peer: Peer) -> Any:
        nonlocal most
        await peer.dial()
        await peer.attached()
        await eventually(lambda: budget.held > 0)
        most = budget.held
        while not peer.stream.upload_ended:
            await peer.receive()
            peer.stream.read()
            await peer.flush()
        await peer.start()
        return await peer.end()

    async with gateway(function, budget=budget, request_body="stream") as running:
        assert (await get(running.url, "POST", data=bytes(700 * KIB)))[0].status == 200
        await eventually(lambda: budget.held == 0)
    assert 0 < most <= INITIAL_WINDOW
