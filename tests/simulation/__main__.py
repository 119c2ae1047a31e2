"""`make simulate`: whole exchanges under random faults, in virtual time.

python -m tests.simulation --count 20000            fresh seeds, on every core: a minute or two
python -m tests.simulation --seeds 100..300         these
python -m tests.simulation --seed 123 --trace       one again, and what happens in it

A seed decides everything. Each exchange is compared byte by byte, has one end in time, and leaves nothing over; a seed
that breaks a promise is printed with the command that plays it again, and the exit code is 1.
"""

from __future__ import annotations

import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from tests import entry
from tests.simulation.batch import NEVER, RARE, Batch, transitions
from tests.simulation.partings import PARTINGS
from tests.simulation.world import simulate

if TYPE_CHECKING:
    import argparse

SHARE = 200
"""Seeds that one process plays at a time: some two seconds of work."""


def main() -> int:
    options = _parse_options()
    if options.seed is not None:
        return _replay(options.seed, trace=options.trace)
    begin, end = options.seeds or _fresh(options.count)
    print(f"python -m tests.simulation --seeds {begin}..{end}", flush=True)
    started, batch = time.monotonic(), Batch()
    shares = [range(at, min(at + SHARE, end)) for at in range(begin, end, SHARE)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(_run, shares):
            batch.failed += part.failed
            batch.visited += part.visited
            batch.count += part.count
            batch.steps += part.steps
    seconds = time.monotonic() - started
    print(f"{batch.count} simulations in {seconds:.1f} s, {batch.count / seconds:.0f} a second")
    if options.reached:
        _show_reached(batch)
    if batch.failed:
        print(batch.describe())
    return 1 if batch.failed else 0


def _run(seeds: range) -> Batch:
    return Batch().run(seeds)


def _fresh(count: int) -> tuple[int, int]:
    begin = random.randrange(10**6, 10**9)
    return begin, begin + count


def _replay(seed: int, *, trace: bool) -> int:
    report = simulate(seed)
    if trace:
        for moment, who, what in report.trace:
            print(f"{moment:11.4f}  {who:22}  {what}")
    for problem in report.problems:
        print(f"wrong: {problem}")
    if not report.problems:
        print("all is well")
    return 1 if report.problems else 0


def _show_reached(batch: Batch) -> None:
    for state, event in sorted(transitions() | PARTINGS):
        why = NEVER.get((state, event)) or RARE.get((state, event), "")
        print(f"{batch.visited[state, event]:8}  {state:10} {event:16} {why}")


def _span(text: str) -> tuple[int, int]:
    begin, _, end = text.partition("..")
    return int(begin), int(end)


def _parse_options() -> argparse.Namespace:
    parser = entry.parser("tests.simulation", __doc__)
    parser.add_argument("--count", type=int, default=5000, help="how many, from a fresh seed on")
    parser.add_argument("--seeds", type=_span, metavar="A..B", help="these, B not included")
    parser.add_argument("--seed", type=int, help="this one, here")
    parser.add_argument("--trace", action="store_true", help="show what happens in it")
    parser.add_argument("--reached", action="store_true", help="show how often what was reached")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
