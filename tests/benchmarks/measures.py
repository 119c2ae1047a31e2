"""What is measured, in rounds that alternate between the contenders, and what is aimed at."""

from __future__ import annotations

import asyncio
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.benchmarks import load
from tests.benchmarks.load import Round, percentile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from tests.benchmarks.client import Client
    from tests.benchmarks.servers import Contender

MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    """One number taken from a round.

    Attributes:
        name: what it is, as the table says it.
        unit: of the number.
        of: takes it from a round.
        target: what the ratio dialback : direct should be; None where nothing is promised.
        less_is_better: for times.
    """

    name: str
    unit: str
    of: Callable[[Round], float]
    target: float | None = None
    less_is_better: bool = False

    def reached(self, ratio: float | None) -> bool | None:
        """Whether a ratio is as good as the target; None without a target."""
        if self.target is None:
            return None
        if ratio is None:
            return False
        return ratio <= self.target if self.less_is_better else ratio >= self.target


@dataclass(frozen=True)
class Measure:
    """A load, and the figures that its rounds give."""

    run: Callable[[Client], Awaitable[Round]]
    figures: tuple[Figure, ...]


@dataclass
class Results:
    """The median over the rounds, for each figure and contender; and what did not come whole."""

    medians: dict[Figure, dict[str, float]] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def ratio(self, figure: Figure) -> float | None:
        """Dialback : direct; None when one of them gave nothing whole."""
        values = self.medians[figure]
        if not {"dialback", "direct"} <= values.keys():
            return None
        return values["dialback"] / values["direct"]


def measures(*, quick: bool) -> list[Measure]:
    """Every measure; `quick` makes the rounds smaller, not fewer."""
    requests, ticks = (150, 60) if quick else (400, 200)
    large, small = (64 * MIB, 8 * MIB) if quick else (256 * MIB, 32 * MIB)
    return [
        Measure(
            lambda client: load.first_bytes(client, requests=requests, at_once=1),
            (
                latency("first byte, 1 at a time, p50", 50, target=20.0),
                latency("first byte, 1 at a time, p99", 99),
            ),
        ),
        Measure(
            lambda client: load.first_bytes(client, requests=2 * requests, at_once=10),
            (
                latency("first byte, 10 at once, p50", 50),
                latency("first byte, 10 at once, p99", 99),
                Figure("requests, 10 at once", "/s", lambda found: found.whole / found.seconds),
            ),
        ),
        Measure(
            lambda client: load.chunk_ages(client, streams=1, ticks=ticks),
            (latency("chunk on its way, 1 stream, p50", 50),),
        ),
        Measure(
            lambda client: load.chunk_ages(client, streams=12, ticks=ticks),
            (
                latency("chunk on its way, 12 streams, p50", 50),
                latency("chunk on its way, 12 streams, p99", 99),
            ),
        ),
        Measure(
            lambda client: load.bulk(client, chunk=1024, total=small),
            (Figure("1 KiB chunks, 1 stream", "chunks/s", chunk_rate, target=0.5),),
        ),
        Measure(
            lambda client: load.bulk(client, chunk=65536, total=large),
            (Figure("64 KiB chunks, 1 stream", "MB/s", byte_rate, target=0.25),),
        ),
        Measure(
            lambda client: load.bulk(client, chunk=65536, total=large // 4, streams=8),
            (Figure("64 KiB chunks, 8 streams", "MB/s", byte_rate),),
        ),
    ]


def latency(name: str, percent: float, *, target: float | None = None) -> Figure:
    def take(found: Round) -> float:
        return percentile(found.latencies, percent) * 1000

    return Figure(name, "ms", take, target, less_is_better=True)


def chunk_rate(found: Round) -> float:
    return found.amount / 1024 / found.seconds


def byte_rate(found: Round) -> float:
    return found.amount / found.seconds / 1e6


async def take_all(
    contenders: Iterable[Contender], *, quick: bool, rounds: int, say: Callable[[str], None]
) -> Results:
    """Run every measure: one round for each contender in turn, `rounds` times, after a warm-up.

    Raises:
        tests.benchmarks.servers.InlineAnswerError: a response of dialback took another way than
            over its callback.
    """
    results = Results()
    for contender in contenders:
        await contender.warm_up()
    for measure in measures(quick=quick):
        say(measure.figures[0].name)
        values: dict[Figure, dict[str, list[float]]] = {
            figure: defaultdict(list) for figure in measure.figures
        }
        for number in range(rounds + 1):
            for contender in contenders:
                found = await one_round(contender, measure, results)
                if number and found.whole:
                    for figure in measure.figures:
                        values[figure][contender.name].append(figure.of(found))
        for figure, lists in values.items():
            results.medians[figure] = {k: statistics.median(v) for k, v in lists.items()}
    return results


async def one_round(contender: Contender, measure: Measure, results: Results) -> Round:
    before = await asyncio.to_thread(contender.frames)
    found = await measure.run(contender.client)
    after = await asyncio.to_thread(contender.frames)
    contender.check(frames=after - before, responses=found.whole)
    for outcome, times in found.broken.items():
        results.broken[f"{contender.name}, {measure.figures[0].name}: {outcome}"] += times
    return found
