"""What is measured once, not in rounds: each has servers of its own, or needs none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvloop

from gateway import descriptors
from tests.benchmarks import framing, growth, quiet, resume, starting
from tests.benchmarks.servers import contenders

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.growth import Carried
    from tests.benchmarks.quiet import Held
    from tests.benchmarks.results import Results

MIB = 1 << 20


@dataclass(frozen=True)
class Depth:
    """How much each study does.

    Attributes:
        framing_seconds: for each thing that is timed.
        starts: cold functions.
        imports: processes for each thing that is imported.
        cuts: downloads, cuts of each, and bytes of each.
        sizes: bytes of the responses that grow.
        levels: quiet streams at a time, as far as the machine carries them.
        hold: seconds that they are quiet.
    """

    framing_seconds: float
    starts: int
    imports: int
    cuts: tuple[int, int, int]
    sizes: tuple[int, ...]
    levels: tuple[int, ...]
    hold: float


FULL = Depth(0.5, 10, 15, (3, 12, 96 * MIB), growth.SIZES, quiet.LEVELS, quiet.HOLD_SECONDS)
QUICK = Depth(0.1, 4, 5, (1, 8, 48 * MIB), growth.SIZES[:3], quiet.LEVELS[:3], 1.0)
TINY = Depth(0.01, 1, 1, (1, 2, 16 * MIB), (MIB, 2 * MIB), (10, 20), 0.1)


@dataclass
class Curves:
    """How cost grows, for each contender.

    Attributes:
        held: with streams.
        carried: with bytes.
    """

    held: dict[str, list[Held]] = field(default_factory=dict)
    carried: dict[str, list[Carried]] = field(default_factory=dict)


def study_framing(depth: Depth, results: Results, curves: Curves) -> None:
    framing.measure(results, seconds=depth.framing_seconds)


def study_start(depth: Depth, results: Results, curves: Curves) -> None:
    starting.imports(results, times=depth.imports)
    with contenders(("streamed", "buffered"), depth.starts) as found:
        for contender in found:
            uvloop.run(starting.cold_starts(contender, results, starts=depth.starts))


def study_resume(depth: Depth, results: Results, curves: Curves) -> None:
    streams, cuts, total = depth.cuts
    uvloop.run(resume.measure(results, streams=streams, cuts_each=cuts, total=total))


def study_growth(depth: Depth, results: Results, curves: Curves) -> None:
    with contenders(("direct", "nginx", "streamed"), 1) as found:
        for contender in found:
            carried = uvloop.run(growth.measure(contender, depth.sizes, results))
            curves.carried[contender.name] = carried
            growth.put(results, contender.name, carried)


def study_quiet(depth: Depth, results: Results, curves: Curves) -> None:
    levels = quiet.carried(depth.levels, descriptors.limit())
    with quiet.servers() as found:
        for server in found:
            held = uvloop.run(quiet.measure(server, levels, depth.hold, results))
            curves.held[server.name] = held
            quiet.put(results, server.name, held)


STUDIES: dict[str, Callable[[Depth, Results, Curves], None]] = {
    "framing": study_framing,
    "start": study_start,
    "resume": study_resume,
    "growth": study_growth,
    "quiet": study_quiet,
}
"""By the name that `--only` knows."""
