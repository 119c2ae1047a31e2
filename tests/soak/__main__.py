"""`make soak`: many real functions under random faults, every byte compared.

python -m tests.soak                                   40 streams at once, ten minutes of faults
python -m tests.soak --seconds 60 --streams 10         a short one
python -m tests.soak --seed 123 --report soak.json     the random choices of another run; its report as JSON

Every second something is cut, stopped, killed or slowed down; only a stream whose function was killed may break, and
visibly. Exit code 1 if a promise was broken: the report names it.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests import entry
from tests.soak.soak import soak

if TYPE_CHECKING:
    import argparse


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
    parser = entry.parser("tests.soak", __doc__)
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
