"""`make model`: the same exploration in larger worlds, some minutes and 2 GiB."""

from __future__ import annotations

import sys
import time

from tests.model.callback import Model
from tests.model.config import Config
from tests.model.explore import Explorer
from tests.model.test_model import id_of

WORLDS = (
    Config(body=3, window=1, attaches=5),
    Config(body=5, window=3, attaches=4),
    Config(body=3, window=2, attaches=4, receipts=False, stale=True),
    Config(body=4, window=2, attaches=5),
)


def main() -> int:
    """Explore every world; return how many broke something."""
    began, states, transitions, broken = time.monotonic(), 0, 0, 0
    for config in WORLDS:
        name = id_of(config)

        def show(done: int, known: int, name: str = name) -> None:
            seconds = time.monotonic() - began
            print(f"\r{name}: {done:,} of {known:,} states so far, {seconds:.0f} s", end="")

        result = Explorer(Model(config), show if sys.stdout.isatty() else None).run()
        states += result.states
        transitions += result.transitions
        broken += result.problem is not None
        print(f"\r{name}: {result.states:,} states, {result.terminal:,} of them the end,")
        print(f"    {result.problem or 'no invariant broken, none stuck'}", *result.trace, sep="\n")
    seconds = time.monotonic() - began
    print(
        f"{states:,} states, {transitions:,} transitions, {seconds:.0f} s, {broken} worlds broken"
    )
    return broken


if __name__ == "__main__":
    sys.exit(main())
