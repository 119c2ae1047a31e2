"""`make bench`: dialback beside plain aiohttp, nginx and itself buffered, in one run.

python -m tests.benchmarks                            everything; writes docs/benchmarks.md
python -m tests.benchmarks --only ttfb-10,bulk        a part (bulk: all that begin with bulk-)
python -m tests.benchmarks --quick --rounds 3         smaller rounds, and fewer

To see what a change of the code gives, see `tests.benchmarks.compare`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from tests.benchmarks import report
from tests.benchmarks.cores import CORES, share
from tests.benchmarks.measures import Measure, Results, selected, take_turns
from tests.benchmarks.servers import contenders
from tests.benchmarks.streams import FULL, QUICK, measures

if TYPE_CHECKING:
    from tests.benchmarks.contenders import Contender

DEFAULT_PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"


def main() -> int:
    """Measure as the command line says; 1 if a response did not come whole."""
    options = parse_options()
    where = f"Run on {share(options.cores)}"
    results = Results()
    kinds = {kind for measure in options.measures for kind in measure.kinds}
    with contenders(kinds, max(measure.at_once for measure in options.measures)) as found:
        uvloop.run(take_all(found, options.measures, results, rounds=options.rounds))
    page = report.page(results, rounds=options.rounds, where=where)
    print(page)
    if options.output:
        options.output.write_text(page)
    return 1 if results.broken else 0


async def take_all(
    found: list[Contender], chosen: list[Measure], results: Results, *, rounds: int
) -> None:
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {what} ...", file=sys.stderr, flush=True)

    say("warming up")
    for contender in found:
        await contender.warm_up(max(measure.at_once for measure in chosen))
    await take_turns(found, chosen, results, rounds=rounds, say=say)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure dialback beside others."
    )
    parser.add_argument("--only", help="measures, with commas between them", default="")
    parser.add_argument("--quick", action="store_true", help="smaller rounds; writes no page")
    parser.add_argument("--rounds", type=int, default=5, help="of each measure (default: 5)")
    parser.add_argument("--cores", type=int, default=CORES, help="0: all; default: %(default)s")
    parser.add_argument(
        "--output", type=Path, help="the page to write (default: docs/benchmarks.md, when all ran)"
    )
    options = parser.parse_args()
    only = options.only.split(",") if options.only else []
    try:
        options.measures = selected(measures(QUICK if options.quick else FULL), only)
    except ValueError as error:
        parser.error(str(error))
    if options.output is None and not options.quick and not only:
        options.output = DEFAULT_PAGE
    return options


if __name__ == "__main__":
    sys.exit(main())
