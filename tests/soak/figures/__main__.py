"""`make figures`: the figures that this project promises, measured.

python -m tests.soak.figures               all of them, some six minutes; writes docs/figures.md
python -m tests.soak.figures cuts stale    two of them, on the screen

Exit code 1 if a figure was not what is promised: the table says which.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests import entry
from tests.soak.figures import (
    cancel,
    cuts,
    endings,
    page,
    send,
    silent,
    slow,
    stale,
    unaware,
    upload,
)

if TYPE_CHECKING:
    import argparse

    from tests.soak.figures.figure import Found

DEFAULT_PAGE = Path(__file__).parents[3] / "docs/figures.md"

COMMANDS = {
    "cuts": cuts.measure,
    "cancel": cancel.measure,
    "endings": endings.measure,
    "slow": slow.measure,
    "silent": silent.measure,
    "stale": stale.measure,
    "send": send.measure,
    "upload": upload.measure,
    "unaware": unaware.measure,
}


def main() -> int:
    options = parse_options()
    founds: dict[str, Found] = {}
    for name in options.names or COMMANDS:
        start = time.monotonic()
        print(f"{name} ...", file=sys.stderr, flush=True)
        founds[name] = asyncio.run(COMMANDS[name]())
        print(page.text(name, founds[name]), flush=True)
        print(f"  ({time.monotonic() - start:.0f} s)", file=sys.stderr, flush=True)
    if options.output:
        options.output.write_text(page.page(founds))
    return 0 if all(found.reached for found in founds.values()) else 1


def parse_options() -> argparse.Namespace:
    parser = entry.parser("tests.soak.figures", __doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*COMMANDS, []], metavar="NAME", help=", ".join(COMMANDS)
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="page to write (default: docs/figures.md, when all are measured)",
    )
    options = parser.parse_args()
    if options.output is None and not options.names:
        options.output = DEFAULT_PAGE
    return options


if __name__ == "__main__":
    sys.exit(main())
