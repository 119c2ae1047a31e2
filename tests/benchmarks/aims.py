"""What is aimed at: ratios of two contenders in one run, as promised; and whether they are reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.quiet import memory_row, whole_row
from tests.benchmarks.streams import SERVER_CPU

if TYPE_CHECKING:
    from tests.benchmarks.results import Results


@dataclass(frozen=True)
class Aim:
    """What dialback should reach.

    Attributes:
        what: in the words of the table.
        row: the name of the row that tells.
        against: the contender whose value is the measure; None: the value counts as it is.
        limit: of dialback's value : the other's, or of the value.
        unit: of the limit; x for a ratio.
        at_most: whether it should be no more than that; else no less.
    """

    what: str
    row: str
    against: str | None
    limit: float
    unit: str = "x"
    at_most: bool = True

    def measured(self, results: Results) -> float | None:
        """What it is in a run; None where it was not measured."""
        ours = results.median(self.row, "dialback")
        if self.against is None or ours is None:
            return ours
        theirs = results.median(self.row, self.against)
        return ours / theirs if theirs else None

    def rounds(self, results: Results) -> list[float]:
        """What it was in each round; none where there was one only."""
        ours = results.of(self.row, "dialback")
        if self.against is None:
            found = ours
        else:
            theirs = results.of(self.row, self.against)
            found = [one / other for one, other in zip(ours, theirs, strict=False)]
        return found if len(found) > 1 else []

    def reached(self, measured: float | None) -> bool:
        """Whether that is enough; what was not measured is not reached."""
        if measured is None:
            return False
        return measured <= self.limit if self.at_most else measured >= self.limit


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
        Aim("64 KiB chunks, MB/s", "64 KiB chunks, 1 stream, MB/s", "nginx", 0.5, at_most=False),
        Aim("1 KiB chunks/s", "1 KiB chunks, 1 stream, chunks/s", "nginx", 1.2, at_most=False),
        Aim("100 B chunks/s", "100 B chunks, 1 stream, chunks/s", "nginx", 1, at_most=False),
    ]


def costs() -> list[Aim]:
    """Of CPU time and memory of the gateway."""
    return [
        Aim(
            "gateway CPU, 100 B chunk of a flood",
            f"{SERVER_CPU}100 B chunk, 1 stream",
            None,
            0.6,
            "us",
        ),
        Aim(
            "the same, each in a frame of its own",
            f"{SERVER_CPU}100 B frame, 1 stream",
            None,
            5,
            "us",
        ),
        Aim("gateway CPU for 64 KiB", f"{SERVER_CPU}64 KiB chunk, 1 stream", "nginx", 2),
        Aim("1,000 quiet streams, memory of each", memory_row(1_000).name, None, 40, "KiB"),
        Aim("5,000 quiet streams, whole", whole_row(5_000).name, None, 5_000, "", at_most=False),
    ]


AIMS = [*latencies(), *rates(), *costs()]
