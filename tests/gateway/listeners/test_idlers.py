"""Whoever idles on a kept connection keeps nobody out."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast

import pytest

from gateway import crowds
from gateway.crowds import Crowd
from tests.gateway.edge.serving import PLAIN, Client, connect, edge, get, over_tls, sized
from tests.gateway.exchange.asking import eventually
from tests.gateway.listeners.guests import KEPT, Silent, answered
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.messages import EdgeRequest, ResponseSink
    from gateway.quiet_connection import QuietConnection
    from tests.gateway.edge.serving import Edge

CLOCK_STEP = 0.001  # of uvloop

FULL = "connections are open; those that were silent for longest go"


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def _both(request: pytest.FixtureRequest) -> Iterator[None]:
    token = over_tls.set(request.param)
    yield
    over_tls.reset(token)


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is given time to ask again."""
    monkeypatch.setattr(crowds, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(crowds, "LOOK_SECONDS", 0.0)


async def idling(it: Edge, count: int) -> None:
    """Wait until so many have had their answers, and the clock has gone on."""
    clock = asyncio.get_running_loop().time

    def idles(one: object) -> bool:
        since = cast("QuietConnection", one).idle_since()
        return since is not None and since < clock() - CLOCK_STEP

    await eventually(lambda: sum(map(idles, it.server.connections)) == count)


@pytest.mark.usefixtures("_both", "_at_once")
async def test_who_idles_for_longest_gives_way_and_reads_a_clean_end() -> None:
    async with edge(sized(b"ok"), crowd=Crowd("edge", 3)) as it, AsyncExitStack() as stack:
        one, other, third = [await stack.enter_async_context(Client(it.port)) for _ in range(3)]
        for client in (one, other, third, one):
            assert await answered(client)
            await idling(it, 3)
        for gone in (other, third):
            newcomer = await stack.enter_async_context(Client(it.port))
            assert await answered(newcomer)
            await idling(it, 3)
            assert await gone.rest() == b""
        assert await answered(one)


@pytest.mark.usefixtures("_both", "_at_once")
async def test_its_end_over_tls_is_no_cut() -> None:
    async with edge(sized(b"ok"), crowd=Crowd("edge", 1)) as it:
        idle = await asyncio.to_thread(connect, it.port)
        with idle:
            await asyncio.to_thread(idle.sendall, KEPT)
            await idling(it, 1)
            async with Client(it.port) as newcomer:
                assert await answered(newcomer)
            received = await asyncio.to_thread(idle.makefile("rb").read)
            assert received.endswith(b"ok")


@pytest.mark.usefixtures("_both", "_at_once")
async def test_a_request_under_way_gives_way_to_nobody() -> None:
    go_on = asyncio.Event()

    async def slow(request: EdgeRequest, sink: ResponseSink) -> None:
        if request.path == "/chat":
            await go_on.wait()
        await sized(b"ok")(request, sink)

    async with edge(slow, crowd=Crowd("edge", 2)) as it, AsyncExitStack() as stack:
        busy = await stack.enter_async_context(Client(it.port))
        busy.send(KEPT)
        assert (await busy.head()) and await busy.exactly(2) == b"ok"
        busy.send(get("/chat", "Connection: keep-alive"))
        await eventually(lambda: len(it.driver.requests) == 2)
        for _ in range(3):  # each makes the one before go
            newcomer = await stack.enter_async_context(Client(it.port))
            assert await answered(newcomer)
            await idling(it, 1)
        go_on.set()
        assert b" 200 " in await busy.head() and await busy.exactly(2) == b"ok"


@pytest.mark.usefixtures("_both", "_at_once")
async def test_a_response_that_is_still_being_written_gives_way_to_nobody() -> None:
    body = bytes(16_000_000)
    over = asyncio.Event()

    async def large(request: EdgeRequest, sink: ResponseSink) -> None:
        sink.begin(200, PLAIN, length=len(body))
        sink.write([body])
        sink.end()
        over.set()

    async with edge(large, crowd=Crowd("edge", 1)) as it, Client(it.port) as slow:
        slow.send(KEPT)
        await over.wait()
        (connection,) = it.server.connections
        await eventually(lambda: connection._current_request is None)
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            async with Client(it.port) as late:
                late.send(KEPT)
                await late.head()
        await slow.head()
        assert await slow.exactly(len(body)) == body


@pytest.mark.parametrize("patience", [0.0, PATIENCE], ids=["late stranger", "young stranger"])
async def test_who_was_answered_goes_after_late_strangers_and_before_young_ones(
    patience: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    crowd = Crowd("edge", 2)
    monkeypatch.setattr(crowds, "SILENT_SECONDS", patience)
    async with edge(sized(b"ok"), crowd=crowd) as it, Client(it.port) as idle:
        assert await answered(idle)
        await idling(it, 1)
        (connection,) = it.server.connections
        connection._next_keepalive_close_time -= PATIENCE  # it idles for long
        with Silent(it.port, crowd) as stranger:
            await stranger.come(1)
            async with Client(it.port) as newcomer:
                assert await answered(newcomer)
                late = patience == 0.0
                assert await stranger.cut() == [late]
                assert await answered(idle) is late
    assert FULL in caplog.text


@pytest.mark.usefixtures("_at_once")
async def test_want_of_descriptors_closes_who_idles_and_keeps_nothing_of_them() -> None:
    crowd = Crowd("edge", 10)
    async with edge(sized(b"ok"), crowd=crowd) as it, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(it.port)) for _ in range(4)]
        for client in clients:
            assert await answered(client)
            await idling(it, 4)
        assert crowd.shed(2) == 2
        assert [await client.rest() for client in clients[:2]] == [b"", b""]
        assert await answered(clients[2])
        clients[3].writer.transport.abort()
        await eventually(lambda: len(crowd) == 1)
        assert len(crowd._idlers) == 1


async def test_a_full_house_is_not_searched_for_each_newcomer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crowds, "SILENT_SECONDS", PATIENCE)  # so that nobody who idles is found
    looks = 0
    look = Crowd._look_for_idlers

    def counted(self: Crowd, late: float) -> None:
        nonlocal looks
        looks += 1
        look(self, late)

    monkeypatch.setattr(Crowd, "_look_for_idlers", counted)
    monkeypatch.setattr(crowds, "LOOK_SECONDS", PATIENCE)
    async with edge(sized(b"ok"), crowd=Crowd("edge", 1)) as it, Client(it.port) as one:
        assert await answered(one)
        for _ in range(5):
            async with Client(it.port) as newcomer:
                assert not await answered(newcomer)
    assert looks == 1
