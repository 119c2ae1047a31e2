"""`make model`: every state of the model of a callback, in larger worlds than the suite has time for.

python -m tests.model               every world: some minutes and 2 GiB
python -m tests.model --only 2      the second of those that --list shows

A world says how long a body is, how large the window, how often a function may attach, and whether it may part. Each
state is checked for the invariants (no byte lost, doubled or invented; a clean end only when it was one), and for a way to
an end. A broken one is printed with the steps that lead there. The exit code is the number of worlds that broke.
"""

from __future__ import annotations

import sys
import time

from tests import entry
from tests.model.callback import Model
from tests.model.config import Config
from tests.model.explore import Explorer
from tests.model.test_model import id_of

WORLDS = (
    Config(body=3, window=1, attaches=5),
    Config(body=5, window=3, attaches=4),
    Config(body=3, window=2, attaches=4, receipts=False, stale=True),
    Config(body=4, window=2, attaches=5),
    Config(body=4, window=2, attaches=4, parting=2),
    Config(body=3, window=2, attaches=3, receipts=False, parting=1, stale=True),
)


def main() -> int:
    """Explore what the command line says; return how many worlds broke something."""
    began, states, transitions, broken = time.monotonic(), 0, 0, 0
    for config in chosen():
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


def chosen() -> list[Config]:
    """The worlds that are asked for; none where they are only shown."""
    parser = entry.parser("tests.model", __doc__)
    parser.add_argument("--list", action="store_true", help="show the worlds, and stop")
    numbers = range(1, len(WORLDS) + 1)
    parser.add_argument("--only", type=int, choices=numbers, help="this one of them")
    options = parser.parse_args()
    if options.list:
        print(*(f"{number}  {id_of(world)}" for number, world in enumerate(WORLDS, 1)), sep="\n")
        parser.exit()
    return [WORLDS[options.only - 1]] if options.only else list(WORLDS)


if __name__ == "__main__":
    sys.exit(main())
