"""One response that grows: what it costs a server, from a few megabytes to gigabytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from tests.benchmarks import load, sections
from tests.benchmarks.counts import children
from tests.benchmarks.results import Row

if TYPE_CHECKING:
    from tests.benchmarks.client import Client
    from tests.benchmarks.contenders import Contender
    from tests.benchmarks.load import Round
    from tests.benchmarks.results import Results

MIB = 1 << 20
SIZES = tuple(size * MIB for size in (64, 256, 1024, 2048, 4096))
CHUNK = 64 << 10


@dataclass(frozen=True, slots=True)
class Carried:
    """What one response came to.

    Attributes:
        size: bytes.
        seconds: from the request to its end.
        cpu: CPU seconds of the server.
        memory: bytes of the server when it was over.
    """

    size: int
    seconds: float
    cpu: float
    memory: int


async def measure(contender: Contender, sizes: tuple[int, ...], results: Results) -> list[Carried]:
    """Ask for one response of each size.

    Raises:
        tests.benchmarks.contenders.NotStreamedError: it took the wrong way.
        AssertionError: it did not come whole.
    """
    found = []
    for size in sizes:

        async def run(client: Client, total: int = size) -> Round:
            return await load.bulk(client, chunk=CHUNK, total=total)

        came = await contender.take(run)
        assert came.whole, came.broken
        if came.counts.frames:
            results.ways[f"{size // MIB:,} MiB"].append((came.whole, came.counts))
        found.append(Carried(size, came.seconds, came.counts.server_cpu, memory(contender)))
    return found


def memory(contender: Contender) -> int:
    """Bytes of the server itself; what a gateway has started are functions."""
    others = [] if contender.kind == "streamed" else children(contender.pid)
    return sum(psutil.Process(pid).memory_info().rss for pid in [contender.pid, *others])


def put(results: Results, contender: str, carried: list[Carried]) -> None:
    """Note what each size came to."""
    for one in carried:
        name = f"{one.size // MIB:,} MiB in one response"
        results.put(Row(sections.GROWTH, f"{name}, time", "s"), contender, one.seconds)
        results.put(Row(sections.GROWTH, f"{name}, server CPU", "s"), contender, one.cpu)
        results.put(
            Row(sections.GROWTH, f"{name}, server memory after it", "MiB"),
            contender,
            one.memory / MIB,
        )
