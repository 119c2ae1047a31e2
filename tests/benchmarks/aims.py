"""What is aimed at: ratios of two contenders in one run, as promised; and whether they are reached."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.measures import Results


@dataclass(frozen=True)
class Aim:
    """A ratio that dialback should reach.

    Attributes:
        what: in the words of the table.
        figure: the name of the figure.
        against: the contender that stands below the line.
        limit: of dialback's value : the other's.
        at_most: whether the ratio should be no more than that; else no less.
    """

    what: str
    figure: str
    against: str
    limit: float
    at_most: bool = True

    def ratio(self, results: Results) -> float | None:
        """What it is in a run; None where it was not measured."""
        ours = median(results, self.figure, "dialback")
        theirs = median(results, self.figure, self.against)
        return ours / theirs if ours and theirs else None

    def reached(self, ratio: float | None) -> bool:
        """Whether that is enough; what was not measured is not reached."""
        if ratio is None:
            return False
        return ratio <= self.limit if self.at_most else ratio >= self.limit


def median(results: Results, figure: str, contender: str) -> float | None:
    """The median over the rounds; None where nothing was measured."""
    for found, values in results.values.items():
        if found.name == figure and values.get(contender):
            return statistics.median(values[contender])
    return None


def latencies() -> list[Aim]:
    """Of first bytes and of chunks on their way."""
    return [
        Aim("first byte p50, 1 at once", "first byte, 1 at once, p50", "direct", 12),
        Aim("first byte p50, 10 at once", "first byte, 10 at once, p50", "direct", 20),
        Aim("chunk latency p50, 1 stream", "chunk on its way, 1 stream, p50", "nginx", 2.5),
        Aim("chunk latency p50, 12 streams", "chunk on its way, 12 streams, p50", "nginx", 1.8),
        Aim("chunk latency p99, 1 stream", "chunk on its way, 1 stream, p99", "direct", 4),
        Aim("chunk latency p99, 12 streams", "chunk on its way, 12 streams, p99", "direct", 4),
        Aim("chunk latency p99, 50 streams", "chunk on its way, 50 streams, p99", "nginx", 4),
    ]


def rates() -> list[Aim]:
    """Of requests, bytes and chunks."""
    requests = "requests, 10 at once"
    return [
        Aim("requests/s, 10 at once", requests, "buffered", 0.5, at_most=False),
        Aim("requests/s, 10 at once", requests, "direct", 0.06, at_most=False),
        Aim("64 KiB chunks, MB/s", "64 KiB chunks, 1 stream", "nginx", 0.5, at_most=False),
        Aim("1 KiB chunks/s", "1 KiB chunks, 1 stream", "nginx", 1.2, at_most=False),
        Aim("100 B chunks/s", "100 B chunks, 1 stream", "nginx", 1, at_most=False),
    ]


AIMS = [*latencies(), *rates()]
