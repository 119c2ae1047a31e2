"""The floor serves what it stands for: the same bodies, by real functions that are frozen in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.benchmarks.counts import children
from tests.benchmarks.functions.streamed import pattern
from tests.benchmarks.servers import contenders
from tests.patience import PATIENCE
from tests.system.running import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.client import Exchange
    from tests.benchmarks.contenders import Contender

AT_ONCE = 2
TOTAL = 64 << 20


@pytest.fixture(scope="module")
def floor() -> Iterator[Contender]:
    with contenders({"floor"}, AT_ONCE) as [found]:
        yield found


async def fetched(floor: Contender, work: str) -> tuple[Exchange, bytes]:
    body = bytearray()
    exchange = await floor.client.fetch_once(work, on_data=body.extend)
    return exchange, bytes(body)


@pytest.mark.parametrize(("chunk", "chunks"), [(1, 300), (1000, 5000), (65536, 100), (300_000, 20)])
async def test_every_byte_comes_in_its_place(floor: Contender, chunk: int, chunks: int) -> None:
    work = f"bulk?chunk={chunk}&total={chunk * chunks}"
    for exchange, body in await asyncio.gather(*(fetched(floor, work) for _ in range(AT_ONCE))):
        assert exchange.whole
        assert body == pattern(chunk) * chunks


async def test_a_chunk_comes_when_it_is_made_and_not_with_the_next(
    floor: Contender, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    work = f"held?gate={gate}"
    exchange = await floor.client.fetch_once(
        work, timeout=PATIENCE, on_data=lambda data: gate.touch()
    )
    assert exchange.whole


async def test_more_requests_than_workers_wait_for_one(floor: Contender) -> None:
    many = 3 * len(children(floor.pid))
    for exchange, body in await asyncio.gather(*(fetched(floor, "tiny") for _ in range(many))):
        assert (exchange.whole, body) == (True, b"hello\n")


async def test_a_client_that_does_not_read_stops_its_function(floor: Contender) -> None:
    connection, arrived, used = await floor.client.connect(), asyncio.Event(), 0.0

    def on_data(data: bytes) -> None:
        if not arrived.is_set():
            connection.transport.pause_reading()
            arrived.set()

    def at_rest() -> bool:
        nonlocal used
        before, used = used, floor.cpu().server_cpu + floor.cpu().functions_cpu
        return used == before

    before = psutil.Process(floor.pid).memory_info().rss
    work = f"bulk?chunk=65536&total={TOTAL}"
    fetching = asyncio.create_task(floor.client.fetch(work, connection=connection, on_data=on_data))
    await arrived.wait()
    await asyncio.to_thread(eventually, at_rest)
    assert psutil.Process(floor.pid).memory_info().rss - before < TOTAL / 4
    assert not fetching.done()
    connection.transport.resume_reading()
    exchange = await fetching
    assert (exchange.whole, exchange.size) == (True, TOTAL)
    connection.transport.close()


async def test_workers_are_frozen_between_requests_and_keep_one_callback(floor: Contender) -> None:
    workers = [psutil.Process(pid) for pid in children(floor.pid)]
    for _ in range(3):
        await floor.warm_up(AT_ONCE)
        exchange, _ = await fetched(floor, "tiny")
        assert exchange.whole
    eventually(lambda: {one.status() for one in workers} == {psutil.STATUS_STOPPED})
    # To its Runtime API, and to the callback listener.
    assert [len(one.net_connections()) for one in workers] == [2] * len(workers)
