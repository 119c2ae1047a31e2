"""cancel: clients that are killed in the middle of a stream."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from tests.benchmarks.load import percentile
from tests.soak.figures.figure import Found, at_most, exactly
from tests.soak.world import World, running_world

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 1000
LANES = 2
"""Clients at once."""

KINDS = ("sync-generator", "async-generator", "sync-writer", "async-writer")
FUNCTION = "tests/soak/figures/functions.py:handler"

MIDDLE_SECONDS = 0.05
"""A client is killed at a random moment of so many seconds behind its first byte."""

NOTED_SECONDS = 20.0
"""When no note has come so long after the last kill, it never will."""

HOW = """\
{times} times a client (a curl process) is killed by SIGKILL within {middle:.0f} ms of its first byte, while the
function writes every 5 ms: in turn a sync generator, an async generator, a sync and an async writer. The
time is from the kill until the handler's own code gets its exception (ClientGone, GeneratorExit or
CancelledError), both taken from CLOCK_MONOTONIC of the one machine."""


@dataclass
class Cancels:
    """What was found.

    Attributes:
        killed: clients.
        told: seconds from the kill of a client to the exception in its handler, by kind of handler.
        finallies: handlers whose `finally` ran, each counted once.
    """

    killed: int = 0
    told: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    finallies: int = 0

    @property
    def all_told(self) -> list[float]:
        """Of every kind."""
        return [seconds for kind in self.told.values() for seconds in kind]


async def run(*, times: int = TIMES) -> Cancels:
    """Kill clients."""
    found = Cancels()
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes")
        notes.touch()
        env = {"NOTES": str(notes)}
        async with running_world(FUNCTION, concurrency=2 * LANES, env=env) as world:
            kills: dict[str, float] = {}
            todo = iter([f"{kind}.{i}" for i, kind in enumerate(islice(cycle(KINDS), times))])
            await asyncio.gather(*(_lane(world, todo, kills) for _ in range(LANES)))
            await _noted(notes, len(kills))
            _read(notes, kills, found)
    return found


async def _lane(world: World, todo: Iterator[str], kills: dict[str, float]) -> None:
    chance = random.Random(len(kills))
    for name in todo:
        kind = name.partition(".")[0]
        url = f"{world.dialback.url}/cancel/{kind}?id={name}"
        client = await asyncio.create_subprocess_exec(
            *("curl", "-sN", url), stdout=asyncio.subprocess.PIPE
        )
        assert client.stdout is not None
        assert await client.stdout.read(1)
        await asyncio.sleep(chance.uniform(0, MIDDLE_SECONDS))
        at = monotonic()
        with suppress(ProcessLookupError):  # its stream ended by itself, which it never should
            client.kill()
            kills[name] = at
        await client.communicate()


async def _noted(notes: Path, times: int) -> None:
    """Wait until every handler has written down its `finally`, or never will."""
    deadline = monotonic() + NOTED_SECONDS
    while notes.read_text().count(" finally ") < times and monotonic() < deadline:
        await asyncio.sleep(0.05)


def _read(notes: Path, kills: dict[str, float], found: Cancels) -> None:
    found.killed = len(kills)
    over = set()
    for line in notes.read_text().splitlines():
        name, what, at = line.split()
        if what == "finally":
            over.add(name)
        elif name in kills:
            found.told[name.partition(".")[0]].append(int(at) / 1e9 - kills[name])
    found.finallies = len(over & set(kills))


async def measure() -> Found:
    """Take the figure at its full size."""
    found = await run()
    told = found.all_told or [float("inf")]
    return Found(
        "Cancel",
        HOW.format(times=TIMES, middle=MIDDLE_SECONDS * 1000),
        [
            exactly("clients killed in the middle", found.killed, TIMES),
            exactly("handlers whose `finally` ran", found.finallies, TIMES),
            exactly("handlers that were told", len(found.all_told), TIMES),
            at_most("kill to exception, p99", percentile(told, 99) * 1000, 250, "ms"),
        ],
        [
            f"{kind}: p50 {percentile(times, 50) * 1000:.1f} ms, p99"
            f" {percentile(times, 99) * 1000:.1f} ms, longest {max(times) * 1000:.1f} ms"
            for kind, times in found.told.items()
        ],
    )
