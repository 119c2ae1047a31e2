"""`make bench`: dialback beside plain aiohttp (and nginx), in one run.

python -m tests.benchmarks [--quick] [--rounds N] [--output docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import uvloop

from tests.benchmarks import report
from tests.benchmarks.measures import take_all
from tests.benchmarks.servers import contenders

DEFAULT_PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"


def main() -> int:
    options = parse_options()
    start = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {what} ...", file=sys.stderr, flush=True)

    with contenders() as found:
        results = uvloop.run(take_all(found, quick=options.quick, rounds=options.rounds, say=say))
    page = report.page(results, rounds=options.rounds)
    print(page)
    if options.output:
        options.output.write_text(page)
    return 1 if results.broken else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure dialback beside plain aiohttp."
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller rounds, about two minutes; writes no page"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of each measure (default: 5)")
    parser.add_argument(
        "--output", type=Path, help="the page to write (default: docs/benchmarks.md, unless quick)"
    )
    options = parser.parse_args()
    if options.output is None and not options.quick:
        options.output = DEFAULT_PAGE
    return options


if __name__ == "__main__":
    sys.exit(main())
