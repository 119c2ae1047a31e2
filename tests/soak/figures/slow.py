"""slow: readers of 10 KiB/s against producers that nothing throttles."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import psutil

from tests.soak.figures.figure import Figure, Found
from tests.soak.strict import request
from tests.soak.world import World, in_a_thread, running_world
from tests.system.running import running

KIB, MIB = 1 << 10, 1 << 20

RATE = 10 * KIB
"""Bytes a second that each reader takes."""

SECONDS, MANY_SECONDS = 30.0, 40.0
MANY = 200

RECEIVE_BUFFER = 16 * KIB
"""Of the reader's socket: a larger one would be a fast reader for as long as it fills."""

SAMPLE_SECONDS = 0.2
BEGIN_SECONDS = 60.0

ONE_MAX, MANY_MAX = 16 * MIB, 1024 * MIB

ALONE = "tests/soak/functions.py:handler"
BORROWED = "tests/soak/figures/borrowed.py:handler"

HOW = """\
A client takes {rate} KiB a second for {one:.0f} s from a function that writes 64 KiB blocks as fast as it may; growth
is the gateway's largest resident memory in that time less what it was before (one small stream went ahead).
Then {many} such clients for {long:.0f} s: their functions are {many} real workers that pass their envelope to one
peer process built on `lambda_client`, one socket for each stream, and return its receipt."""


@dataclass
class Slow:
    """What was found.

    Attributes:
        before: bytes of resident memory.
        most: the same, at its largest.
        taken: bytes that each reader got.
        broken: readers whose stream ended, which it never should.
    """

    before: int = 0
    most: int = 0
    taken: list[int] = field(default_factory=list)
    broken: int = 0

    @property
    def growth(self) -> int:
        """Bytes."""
        return self.most - self.before


async def run_one(*, seconds: float = SECONDS) -> Slow:
    """One reader, one function."""
    async with running_world(ALONE, concurrency=1) as world:
        async with request(f"{world.dialback.url}/down?total=300000") as response:
            await response.read()
        return await _read(world, f"/down?total={1 << 40}", readers=1, seconds=seconds)


async def run_many(*, readers: int = MANY, seconds: float = MANY_SECONDS) -> Slow:
    """Many readers; one process stands in for their functions."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "peer"))
        argv = [sys.executable, "-m", "tests.soak.figures.peer", path]
        async with (
            in_a_thread(running(*argv, ready="ready")),
            running_world(BORROWED, concurrency=readers, env={"PEER": path}) as world,
        ):
            return await _read(world, "/", readers=readers, seconds=seconds)


async def _read(world: World, path: str, *, readers: int, seconds: float) -> Slow:
    process = psutil.Process(world.dialback.pid)
    found = Slow(before=process.memory_info().rss)
    begun = asyncio.Barrier(readers + 1)
    over = asyncio.Event()

    async def sample() -> None:
        while not over.is_set():
            found.most = max(found.most, process.memory_info().rss)
            await asyncio.sleep(SAMPLE_SECONDS)

    async with asyncio.TaskGroup() as group:
        group.create_task(sample())
        reading = [
            group.create_task(_reader(world.dialback.url + path, begun, over, found))
            for _ in range(readers)
        ]
        async with asyncio.timeout(BEGIN_SECONDS):
            await begun.wait()
        await asyncio.sleep(seconds)
        over.set()
        await asyncio.gather(*reading)
    return found


async def _reader(url: str, begun: asyncio.Barrier, over: asyncio.Event, found: Slow) -> None:
    async with request(url, receive_buffer=RECEIVE_BUFFER) as response:
        await begun.wait()
        start, taken = monotonic(), 0
        async for data in response.body(RATE // 10):
            taken += len(data)
            if over.is_set():
                break
            await asyncio.sleep(start + taken / RATE - monotonic())
    found.taken.append(taken)
    found.broken += not over.is_set()


async def measure() -> Found:
    """Take the figures at their full size."""
    one, many = await run_one(), await run_many()
    took = [taken / KIB for taken in many.taken]
    return Found(
        "Slow",
        HOW.format(rate=RATE // KIB, one=SECONDS, many=MANY, long=MANY_SECONDS),
        [
            _memory("growth of the gateway for one stream", one.growth, ONE_MAX),
            _memory(f"the gateway with {MANY} streams", many.most, MANY_MAX),
        ],
        [
            f"before the {MANY}: {many.before / MIB:.0f} MiB;"
            f" that is {many.growth / MANY / KIB:.0f} KiB for each stream",
            f"each of the {MANY} readers got {min(took):.0f} to {max(took):.0f} KiB;"
            f" {many.broken + one.broken} streams ended",
        ],
    )


def _memory(name: str, size: int, limit: int) -> Figure:
    return Figure(name, f"under {limit >> 20} MiB", f"{size / MIB:.1f} MiB", reached=size < limit)
