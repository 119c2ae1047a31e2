"""`make bench-compare`: two commits side by side, for whoever changes a hot path.

python -m tests.benchmarks.compare REV                        REV against this work tree as it stands
python -m tests.benchmarks.compare REV REV2                   against another commit
python -m tests.benchmarks.compare main --only ttfb-10,bulk   a part; ttfb: all that begin with ttfb-

Commits are checked out into temporary work trees. Both sides get the same functions, the same client,
and this virtual environment. In every round each side is started anew (an accident of one process's
memory is not taken for a difference), warmed up, and measured five times in turn, of which the median
counts. One measure takes about a minute and a half, all of them six. A row is judged by the pairs of
all rounds (see `verdict`): better, worse, or within noise. The exit code is 1 if a row got worse.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import uvloop

from tests import entry
from tests.benchmarks.advice import advice
from tests.benchmarks.contenders import Gateway
from tests.benchmarks.cores import CORES, share
from tests.benchmarks.measures import grouped, names_of, selected, take_turns
from tests.benchmarks.report import number
from tests.benchmarks.results import Results
from tests.benchmarks.servers import ROUTES, running_gateway
from tests.benchmarks.streams import QUICK, measures
from tests.benchmarks.verdict import FEWEST, judge
from tests.benchmarks.worktrees import checked_out, commit_of, dirty
from tests.system.running import REPOSITORY

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.measures import Measure
    from tests.benchmarks.results import Row
    from tests.benchmarks.verdict import Verdict

ROUNDS = 12
"""The interval of the ratio is then some 5 % wide to either side, and may leave out one outlier at
each end; a smaller difference needs more."""

PASSES = 5
"""Of each round and side: single passes of one process scatter by 9 %, medians of ten passes of
different processes by 3 % (measured on a virtual machine)."""

USUALLY = ["ttfb-1", "ttfb-10", "chunks-1", "chunks-12", "bulk", "upload"]
"""Without `--only`: what needs no more than a dozen functions, which start quickly."""


def main() -> int:
    """Compare as the command line says; 1 if a row got worse."""
    options = parse_options()
    print(f"on {share(options.cores)}")
    command = f"make bench-compare REV={options.before} ONLY={','.join(one.name for one in options.measures)}"
    with advice(command), ExitStack() as stack:
        names = [commit_of(options.before), "this work tree" if dirty() else commit_of("HEAD")]
        trees = [stack.enter_context(checked_out(options.before)), REPOSITORY]
        if options.after:
            names[1] = commit_of(options.after)
            trees[1] = stack.enter_context(checked_out(options.after))
        results = Results()
        for done in compare(trees, options.measures, results, rounds=options.rounds):
            print(f"{done}/{options.rounds}", end=" ", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    verdicts = judged(results)
    print("\n".join(lines(names, verdicts, results)))
    worse = any(verdict.word == "worse" for verdict in verdicts.values())
    return 1 if worse or results.broken else 0


def parse_options() -> argparse.Namespace:
    parser = entry.parser("tests.benchmarks.compare", __doc__)
    parser.epilog = f"Measures: {names_of(measures(QUICK))}. Without --only: {', '.join(USUALLY)}."
    parser.add_argument("before", metavar="REV", help="a commit")
    parser.add_argument("after", metavar="REV2", nargs="?", help="another (default: what is here)")
    parser.add_argument("--only", metavar="NAME,...", help="these measures, below", default="")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="(default: %(default)s)")
    parser.add_argument("--cores", type=int, default=CORES, help="0: all; default: %(default)s")
    options = parser.parse_args()
    if options.rounds < FEWEST:
        parser.error(f"--rounds: at least {FEWEST}, or no row can be judged")
    try:
        only = options.only.split(",") if options.only else USUALLY
        options.measures = selected(measures(QUICK), only)
        commit_of(options.before)
    except ValueError as error:
        parser.error(str(error))
    return options


def compare(
    trees: Sequence[Path],
    chosen: Sequence[Measure],
    results: Results,
    *,
    rounds: int,
    passes: int = PASSES,
) -> Iterator[int]:
    """Measure two trees, round by round; yields how many are done."""
    sides = dict(zip(("before", "after"), trees, strict=True))
    for turn in range(rounds):
        for at_once, group in grouped(chosen).items():
            with running_sides(sides, group, at_once) as running:
                found = Results()
                uvloop.run(take_turns(running, group, found, at_once=at_once, rounds=passes))
                results.add_medians(found)
        yield turn + 1


@contextmanager
def running_sides(
    sides: Mapping[str, Path], group: Sequence[Measure], at_once: int
) -> Iterator[list[Gateway]]:
    """A gateway for each side, and of it a contender for each route that these measures ask."""
    # A row has one value for each side: what dialback serves buffered is not among them.
    wanted = {kind for measure in group for kind in measure.kinds} - {"buffered"}
    kinds = [kind for kind in ROUTES if kind in wanted]
    with ExitStack() as stack:
        running = []
        for name, tree in sides.items():
            dialback = stack.enter_context(running_gateway(kinds, at_once, tree))
            running += [Gateway(name, kind, dialback) for kind in kinds]
        yield running


def judged(results: Results) -> dict[Row, Verdict]:
    """The verdict of each row that both sides have a value for in each round."""
    return {
        row: judge(of["before"], of["after"], less_is_better=row.less_is_better)
        for row, of in results.values.items()
        if len(of["before"]) == len(of["after"]) >= FEWEST
    }


def lines(names: Sequence[str], verdicts: dict[Row, Verdict], results: Results) -> list[str]:
    """The table, for a screen."""
    wide = max((len(row.name) for row in verdicts), default=0)
    said = [f"{'':{wide}}  {names[0]:>16}  {names[1]:>16}   ratio  (99 % between)"]
    for row, verdict in verdicts.items():
        said.append(
            f"{row.name:{wide}}  {number(verdict.before, row.unit):>16}"
            f"  {number(verdict.after, row.unit):>16}  {verdict.ratio:6.3f}"
            f"  ({verdict.low:.3f} - {verdict.high:.3f})  {verdict.word}"
        )
    said += [f"BROKEN: {times} x {what}" for what, times in results.broken.items()]
    return said


if __name__ == "__main__":
    sys.exit(main())
