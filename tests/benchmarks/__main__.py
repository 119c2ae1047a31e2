"""`make bench`: dialback beside plain aiohttp, nginx and itself buffered, in one run.

python -m tests.benchmarks                            everything, some minutes; writes docs/benchmarks.md
python -m tests.benchmarks --only ttfb-10,bulk,quiet  a part (bulk: all that begin with bulk-)
python -m tests.benchmarks --quick --rounds 3         smaller rounds, and fewer

The page goes to the screen, too. The exit code is 1 if a response did not come whole. What a change of the code
gives is asked with `tests.benchmarks.compare`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from gateway import descriptors
from tests import entry
from tests.benchmarks import report
from tests.benchmarks.advice import advice
from tests.benchmarks.cores import CORES, Stolen, share
from tests.benchmarks.curves import plots, write
from tests.benchmarks.measures import grouped, names_of, selected, take_turns
from tests.benchmarks.results import Results
from tests.benchmarks.servers import contenders
from tests.benchmarks.streams import FULL, QUICK, measures
from tests.benchmarks.studies import FULL as DEEPLY
from tests.benchmarks.studies import QUICK as QUICKLY
from tests.benchmarks.studies import STUDIES, Curves

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

DEFAULT_PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"


def main() -> int:
    """Measure as the command line says; 1 if a response did not come whole."""
    options = parse_options()
    load, where, stolen = os.getloadavg()[0], share(options.cores), Stolen()
    where += f"; the machine's load average was {load:.1f} before"
    descriptors.raise_limit()
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {what} ...", file=sys.stderr, flush=True)

    if not shutil.which("nginx"):
        say(report.NO_NGINX)
    results, curves = measured(options, say)
    found_plots = plots(curves)
    where += f", and its host took {stolen.share():.1%} of their time meanwhile"
    page = report.page(results, found_plots, rounds=options.rounds, where=where)
    print(page)
    if options.output:
        options.output.write_text(page)
        write(found_plots, options.output.parent)
    say(f"done: {options.output}" if options.output else "done")
    if results.broken:
        print("Not every response came whole: the end of the page says which.", file=sys.stderr)
    return 1 if results.broken else 0


def measured(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[Results, Curves]:
    """Take every round and every study that is asked for."""
    results, curves = Results(), Curves()
    for measure in options.measures:  # in this order they stand in the tables
        results.expect(figure.row for figure in measure.figures)
    for at_once, group in grouped(options.measures).items():
        kinds = {kind for measure in group for kind in measure.kinds}
        names = ",".join(measure.name for measure in group)
        with advice(f"make bench ONLY={names}"), contenders(kinds, at_once) as found:
            turns = take_turns(
                found, group, results, at_once=at_once, rounds=options.rounds, say=say
            )
            uvloop.run(turns)
    for name in options.studies:
        say(name)
        with advice(f"make bench ONLY={name}"):
            STUDIES[name](QUICKLY if options.quick else DEEPLY, results, curves)
    return results, curves


def parse_options() -> argparse.Namespace:
    parser = entry.parser("tests.benchmarks", __doc__)
    known = measures(QUICK)
    parser.epilog = f"Measures: {names_of(known)}. Each measured once: {', '.join(STUDIES)}."
    parser.add_argument("--only", metavar="NAME,...", help="these, of those below", default="")
    parser.add_argument("--quick", action="store_true", help="smaller rounds; writes no page")
    parser.add_argument("--rounds", type=int, default=5, help="of each measure (default: 5)")
    parser.add_argument("--cores", type=int, default=CORES, help="0: all; default: %(default)s")
    parser.add_argument(
        "--output", type=Path, help="the page to write (default: docs/benchmarks.md, when all ran)"
    )
    options = parser.parse_args()
    only = options.only.split(",") if options.only else []
    options.studies = [name for name in STUDIES if not only or name in only]
    words = [word for word in only if word not in STUDIES]
    try:
        known = measures(QUICK if options.quick else FULL)
        options.measures = selected(known, words) if words or not only else []
    except ValueError as error:
        parser.error(f"{error}, {', '.join(STUDIES)}")
    if options.output is None and not options.quick and not only:
        options.output = DEFAULT_PAGE
    return options


if __name__ == "__main__":
    sys.exit(main())
