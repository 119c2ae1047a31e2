"""Fuzz one parser, or all of them in turn.

python -m tests.fuzz frames                     until it finds something, or Ctrl-C
python -m tests.fuzz frames -- -runs=100000     whatever follows -- goes to libFuzzer
python -m tests.fuzz --all --seconds 60         a minute for each
python -m tests.fuzz frames --replay FILE       one input, with a plain traceback
python -m tests.fuzz frames --keep              put what was found worth keeping into the corpus

What a run finds interesting stays in .fuzz/TARGET and is the start of the next one. A finding is kept, with the command
that replays it; the exit code is then 1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests import entry
from tests.fuzz import running
from tests.fuzz.registry import TARGETS

if TYPE_CHECKING:
    import argparse


def main(argv: list[str]) -> int:
    flags: list[str] = []
    if "--" in argv:
        at = argv.index("--")
        argv, flags = argv[:at], argv[at + 1 :]
    args = _parser().parse_args(argv)
    if args.all == (args.target is not None):
        print("give one TARGET, or --all", file=sys.stderr)
        return 2
    targets = list(TARGETS.values()) if args.all else [TARGETS[args.target]]
    if args.replay is not None:
        targets[0].load()(args.replay.read_bytes())
        print(f"{targets[0].name}: {args.replay} is handled as it should be")
        return 0
    if args.keep:
        for target in targets:
            running.keep(target)
        return 0
    if args.seconds is not None:
        flags.append(f"-max_total_time={args.seconds}")
    found = [target.name for target in targets if running.fuzz(target, flags) != 0]
    if args.all:
        print(f"fuzzed {len(targets)} targets; found something in: {', '.join(found) or 'none'}")
    return 1 if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = entry.parser("tests.fuzz", __doc__)
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS))
    parser.add_argument("--all", action="store_true", help="every target, one after the other")
    parser.add_argument("--seconds", type=int, help="for each target (default: no end)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input")
    parser.add_argument("--keep", action="store_true", help="merge finds into the kept corpus")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
