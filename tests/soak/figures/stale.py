"""stale: a thawed function whose parked connection has died without a word."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass, field
from time import monotonic

import psutil

from tests.faults.kinds import CLOSE, HALF_OPEN
from tests.soak.content import Checker, Content
from tests.soak.figures.figure import Found, at_most, exactly
from tests.soak.strict import Broken, request
from tests.soak.world import World, running_world

ROUNDS = 50
FUNCTION = "tests/soak/functions.py:handler"

BODY = 128 << 10
"""Bytes: more than a function may return inline, so that only a connection can bring the head."""

FROZEN_SECONDS = 30.0
"""From the end of a response until its function is frozen, at most."""

HOW = """\
One function, frozen (SIGSTOP) between its invocations as the emulated Lambda does it, is asked {rounds}
times with its parked connection gone silent (the proxy swallows both directions and every FIN), and as
often after the connection was closed in sight, so that it dials anew; the two take turns. The time is
from the request to the first byte of the body; the figure is the difference of the medians."""


@dataclass
class Stale:
    """What was found: seconds to the first byte of the body.

    Attributes:
        stale: with a connection that had died in silence.
        fresh: with none.
        warm: with one that works.
        right: bodies that came whole.
        asked: requests.
    """

    stale: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    right: int = 0
    asked: int = 0

    @property
    def extra(self) -> float:
        """Seconds that a stale connection costs more than a dial."""
        return statistics.median(self.stale) - statistics.median(self.fresh)


async def run(*, rounds: int = ROUNDS) -> Stale:
    """Ask in turn."""
    found = Stale()
    async with running_world(FUNCTION, concurrency=1) as world:
        proxy = world.proxy
        await _ask(world, found, [])
        for _ in range(rounds):
            await _ask(world, found, found.warm)
            proxy.strike(HALF_OPEN)
            await _ask(world, found, found.stale)
            proxy.strike(CLOSE)
            await proxy.until(lambda: not proxy.open_connections)
            await _ask(world, found, found.fresh)
    return found


async def _ask(world: World, found: Stale, times: list[float]) -> None:
    found.asked += 1
    checker, start = Checker(Content(found.asked, BODY)), monotonic()
    url = f"{world.dialback.url}/down?seed={found.asked}&total={BODY}"
    try:
        async with request(url) as response:
            async for data in response.body():
                if not checker.offset:
                    times.append(monotonic() - start)
                checker.take(data)
    except Broken:
        return
    found.right += checker.whole
    await _frozen(world)


async def _frozen(world: World) -> None:
    """Wait until the function has parked its connection and is stopped."""
    [function] = psutil.Process(world.dialback.pid).children()
    async with asyncio.timeout(FROZEN_SECONDS):
        while function.status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.001)


async def measure() -> Found:
    """Take the figure at its full size."""
    found = await run()

    def told(name: str, times: list[float]) -> str:
        ordered = sorted(times)
        return (
            f"{name}: median {statistics.median(times) * 1000:.1f} ms,"
            f" longest {ordered[-1] * 1000:.1f} ms"
        )

    return Found(
        "Stale",
        HOW.format(rounds=ROUNDS),
        [
            at_most("stale connection, beyond a fresh dial", found.extra * 1000, 300, "ms"),
            exactly("bodies that came whole", found.right, found.asked),
        ],
        [
            told("stale", found.stale),
            told("fresh dial", found.fresh),
            told("parked connection that works", found.warm),
        ],
    )
