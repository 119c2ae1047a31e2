"""A gateway that goes down, as its callbacks see it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.callback import connections
from protocol.errors import CancelCode, CloseCode, GoawayCode, RejectCode
from protocol.frames import Cancel, Goaway, Reject
from tests.gateway.exchange.asking import eventually, expect_broken, get
from tests.gateway.exchange.peer import Peer, gateway
from tests.gateway.steering import pass_time

BODY = bytes(range(256)) * 64


def goaways(peer: Peer) -> list[Goaway]:
    return [frame for frame in peer.received if isinstance(frame, Goaway)]


async def begin(peer: Peer) -> None:
    await peer.dial()
    await peer.attached()
    await peer.start()
    await peer.write(BODY)


@pytest.mark.fault(20)
async def test_a_stream_that_is_cut_during_the_drain_resumes_and_its_callbacks_end() -> None:
    codes: list[int | None] = []

    async def function(peer: Peer) -> Any:
        await begin(peer)
        running.connections.drain(7.0)
        await peer.until(lambda: len(goaways(peer)) == 1)
        await peer.cut()
        await eventually(lambda: running.states == ["detached"])
        await peer.dial()
        await peer.until(lambda: len(goaways(peer)) == 2)
        await peer.attached()
        await peer.write(BODY)
        receipt = await peer.end()
        codes.append(await peer.closed())
        first, second = goaways(peer)
        assert first.code == second.code == GoawayCode.DRAINING
        assert 7000 >= first.deadline_ms >= second.deadline_ms > 0
        return receipt

    async with gateway(function) as running:
        assert (await get(running.url))[1] == BODY + BODY
        await eventually(lambda: codes)
    assert codes == [CloseCode.GOING_AWAY]


@pytest.mark.fault(20)
async def test_one_that_neither_parks_nor_closes_is_closed_all_the_same() -> None:
    codes: list[int | None] = []

    async def function(peer: Peer) -> Any:
        await begin(peer)
        running.connections.drain(7.0)
        receipt = await peer.end()
        codes.append(await peer.closed())
        return receipt

    async with gateway(function) as running:
        await get(running.url)
        await eventually(lambda: codes)
    assert codes == [CloseCode.GOING_AWAY]


async def test_an_exchange_that_is_not_known_is_refused_as_ever() -> None:
    async def function(peer: Peer) -> Any:
        running.connections.drain(7.0)
        await peer.dial(attach=False)
        await peer.attach(xid=bytes(16))
        await peer.until(lambda: any(isinstance(frame, Reject) for frame in peer.received))
        (reject,) = [frame for frame in peer.received if isinstance(frame, Reject)]
        return {"statusCode": 200, "body": RejectCode(reject.code).name}

    async with gateway(function) as running:
        assert (await get(running.url))[1] == b"UNKNOWN"


@pytest.mark.fault(20)
async def test_what_is_left_is_cut_the_function_is_told_and_the_client_sees_it() -> None:
    seen: list[Any] = []

    async def function(peer: Peer) -> Any:
        await begin(peer)
        await eventually(lambda: running.driver.exchanges()[0].body_bytes == len(BODY))
        running.driver.refuse()
        assert running.driver.cut()
        await peer.until(lambda: any(isinstance(frame, Cancel) for frame in peer.received))
        running.connections.close()
        seen.extend([peer.received[-1], await peer.closed()])
        return {}

    async with gateway(function) as running:
        await expect_broken(running)
        assert not running.driver.cut()
        await eventually(lambda: len(seen) == 2)
    assert seen[0].code == CancelCode.DRAINING
    assert seen[1] in (CloseCode.DRAINING, CloseCode.GOING_AWAY)


@pytest.mark.steered
async def test_parked_callbacks_are_closed_over_a_while_and_not_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "SPREAD_RATE", 0.1)
    monkeypatch.setattr(connections, "SPREAD_SECONDS", 40.0)
    monkeypatch.setattr(connections, "STEP", 10.0)
    ended: list[int | None] = []

    async def function(peer: Peer) -> Any:
        await begin(peer)
        receipt = await peer.end()
        ended.append(await peer.closed())
        return receipt

    async with gateway(function) as running:
        await asyncio.gather(*(get(running.url) for _ in range(4)))
        await eventually(lambda: running.connections.parked == 4)
        closing = asyncio.create_task(running.connections.close_parked())
        for left in (3, 2, 1, 0):
            await eventually(lambda left=left: len(ended) == 4 - left)
            assert (running.connections.parked, closing.done()) == (left, False)
            await pass_time(10.0)
        await closing
    assert ended == [CloseCode.GOING_AWAY] * 4
