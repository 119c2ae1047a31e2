"""`make soak`: many real functions under random faults, every byte compared.

python -m tests.soak [--seconds 600] [--streams 40] [--seed N] [--report FILE]

Exit code 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from pathlib import Path

from tests.soak.soak import soak


def main() -> int:
    options = parse_options()
    report = asyncio.run(
        soak(
            seconds=options.seconds,
            streams=options.streams,
            seed=options.seed,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    )
    print(report.to_text())
    if options.report:
        options.report.write_text(report.to_json())
    return 0 if report.kept else 1


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Run streams through a real gateway while faults happen, and compare every byte.",
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="of faults (default: 600)")
    parser.add_argument("--streams", type=int, default=40, help="at once (default: 40)")
    parser.add_argument("--seed", type=int, default=None, help="of every random choice")
    parser.add_argument("--report", type=Path, help="file for the report as JSON")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    return options


if __name__ == "__main__":
    sys.exit(main())
