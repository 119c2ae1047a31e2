"""What the gateway and its functions hold: its memory over time, and what is left at rest."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from tests.soak.report import Memory
from tests.soak.strict import request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.running import Dialback

SAMPLE_SECONDS = 1.0

WAKE_SECONDS = 60.0
"""Until every function has started: some 100 ms of processor time each."""


class MemoryWatch:
    """Samples resident memory."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._samples: list[tuple[float, int]] = []

    @property
    def latest(self) -> int:
        """The last sample, in KiB."""
        return self._samples[-1][1] if self._samples else 0

    def sample(self) -> None:
        """Take one."""
        kib = int(self._process.memory_info().rss) >> 10
        self._samples.append((time.monotonic(), kib))

    async def keep_sampling(self, wanted: Callable[[], bool]) -> None:
        """Sample as long as it is wanted."""
        while wanted():
            self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    def result(self, *, warm_up: float) -> Memory:
        """What the samples say; those of the first `warm_up` seconds only count for `most`."""
        start = self._samples[0][0] + warm_up
        kept = [one for one in self._samples if one[0] >= start] or self._samples[-1:]
        times, sizes = zip(*kept, strict=True)
        slope = 0.0
        if len(kept) > 1:
            slope = statistics.linear_regression(times, sizes).slope * 60
        most = max(kib for _, kib in self._samples)
        return Memory(sizes[0], sizes[-1], most, round(slope, 1), round(times[-1] - times[0], 1))


async def wake_all(base: str, count: int) -> None:
    """Have `count` functions run at the same moment, so that as many are alive; then leave them."""
    all_begun = asyncio.Barrier(count)

    async def one() -> None:
        async with request(f"{base}/down_async?total=10000&chunk=1&rate=10"):
            await all_begun.wait()

    async with asyncio.timeout(WAKE_SECONDS):
        await asyncio.gather(*(one() for _ in range(count)))


def at_rest(dialback: Dialback) -> dict[str, int]:
    """Count what the gateway's process has open, and its functions together. Blocks."""
    process = psutil.Process(dialback.pid)
    samples = dialback.metrics()

    def total(metric: str, **labels: str) -> int:
        wanted = set(labels.items())
        return int(sum(v for (name, has), v in samples.items() if name == metric and wanted <= has))

    connections = total("dialback_callbacks")
    functions = process.children()
    return {
        "descriptors": process.num_fds(),
        "tasks": total("dialback_tasks"),
        "threads": process.num_threads(),
        "functions": len(functions),
        "descriptors of functions": _sum(functions, psutil.Process.num_fds),
        "threads of functions": _sum(functions, psutil.Process.num_threads),
        "callback connections": connections,
        "of them in use": connections - total("dialback_callbacks", state="parked"),
        "exchanges": total("dialback_exchanges_active"),
        "waiting requests": total("dialback_queue_depth"),
    }


def _sum(processes: list[psutil.Process], count: Callable[[psutil.Process], int]) -> int:
    """Add up what they have; one may end meanwhile."""
    found = 0
    for one in processes:
        with suppress(psutil.Error):
            found += count(one)
    return found
