"""One soak, from the first function to the last look at what is left over."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from tests.faults.kinds import RESET
from tests.soak.attaches import ResumeWatch
from tests.soak.chaos import Chaos
from tests.soak.report import LeftOver, Report
from tests.soak.streams import Streams
from tests.soak.watching import MemoryWatch, at_rest, wake_all
from tests.soak.world import World, running_world

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

FUNCTION = "tests/soak/functions.py:handler"

SPARE_FUNCTIONS = 4
"""Beyond the streams: a client that left starts its next stream before its function has stopped."""

WARM_UP_SHARE, WARM_UP_MAX = 0.5, 300.0
"""Of the run, and seconds: until the busiest moments have been, and tombstones come and go."""

REST_SECONDS = 30.0
"""How long closed connections and ended streams may take to be gone."""

SAY_SECONDS = 5.0

OVERTIME = 2.0
"""Times the run, at most: until every kind of fault has struck, however little a busy machine gets done."""


async def soak(
    *,
    seconds: float,
    streams: int,
    seed: int,
    without: Collection[str] = (),
    timing: Mapping[str, float] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Run it, and report.

    Args:
        seconds: how long faults are injected, or a little longer; then what runs may end.
        streams: at once.
        seed: of every random choice (what the machine makes of them varies).
        without: kinds of fault (of `chaos.WEIGHTS`) that are left out.
        timing: timers of the gateway that differ from its own.
        say: shown what is going on, a line at a time.
    """
    report = Report(seconds=seconds, streams=streams, seed=seed)
    concurrency = streams + SPARE_FUNCTIONS
    async with running_world(FUNCTION, concurrency=concurrency, timing=timing) as world:
        before = await _rest(world, concurrency, LeftOver())
        await _storm(world, report, without, say)
        world.proxy.strike(RESET)  # what is half open hears of its end from nobody else
        report.left_over = LeftOver(before, await _rest(world, concurrency, LeftOver(before)))
        report.outcomes = await asyncio.to_thread(_outcomes, world)
    return report


async def _storm(
    world: World, report: Report, without: Collection[str], say: Callable[[str], None]
) -> None:
    """Let the streams run and break things, for as long as is wanted and until all have ended."""
    chance = random.Random(report.seed)
    base = world.dialback.url
    streams, watch = Streams(base, report, chance), ResumeWatch(world.proxy, report)
    chaos = Chaos(world, streams, watch, report, chance, without)
    memory = MemoryWatch(world.dialback.pid)
    start = time.monotonic()

    def wanted() -> bool:
        elapsed = time.monotonic() - start
        return elapsed < report.seconds or (chaos.owes and elapsed < OVERTIME * report.seconds)

    async with asyncio.TaskGroup() as group:
        watching = [
            group.create_task(watch.keep_watching()),
            group.create_task(_keep_saying(report, streams, memory, say)),
        ]
        await asyncio.gather(
            memory.keep_sampling(wanted),
            chaos.keep_going(wanted, report.streams),
            *(streams.keep_going(wanted) for _ in range(report.streams)),
        )
        for task in watching:
            task.cancel()
    report.memory = memory.result(warm_up=min(WARM_UP_SHARE * report.seconds, WARM_UP_MAX))


async def _keep_saying(
    report: Report, streams: Streams, memory: MemoryWatch, say: Callable[[str], None]
) -> None:
    """One line of progress every few seconds, until cancelled."""
    start = time.monotonic()
    while True:
        await asyncio.sleep(SAY_SECONDS)
        say(
            f"{time.monotonic() - start:5.0f} s  {len(streams.running)} running,"
            f" {sum(report.completed.values())} completed, {report.killed} killed,"
            f" {report.cancelled} left, {report.broken} broken;"
            f" {sum(report.faults.values())} faults, {report.resumes} resumes;"
            f" {report.bytes_compared >> 20:,} MiB right; gateway {memory.latest >> 10} MiB"
        )


async def _rest(world: World, functions: int, than: LeftOver) -> dict[str, int]:
    """Have every function alive and parked, and count; `than` says what there may be."""
    await wake_all(world.dialback.url, functions)
    deadline = time.monotonic() + REST_SECONDS
    while True:
        found = await asyncio.to_thread(at_rest, world.dialback)
        busy = found["of them in use"] or found["callback connections"] != functions
        if time.monotonic() > deadline or not (busy or LeftOver(than.before or found, found).more):
            return found
        await asyncio.sleep(0.1)


def _outcomes(world: World) -> dict[str, int]:
    """The gateway's own count of how exchanges ended."""
    outcomes: dict[str, int] = {}
    for (name, labels), value in world.dialback.metrics().items():
        if name == "dialback_exchanges_total":
            outcome = dict(labels)["outcome"]
            outcomes[outcome] = outcomes.get(outcome, 0) + int(value)
    return outcomes
