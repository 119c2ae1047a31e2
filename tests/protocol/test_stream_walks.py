"""The rules of the state machine taken at random, likely ones often: longer and deeper than Hypothesis goes.

A failure names its seed: `walk(seed)` repeats it. `DIALBACK_WALKS` makes the run longer (`make model`).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.protocol.test_stream_machine import ENDINGS, INTRUSIONS, StreamMachine

if TYPE_CHECKING:
    from collections.abc import Callable

WALKS = int(os.environ.get("DIALBACK_WALKS", "300"))
STEPS = 120

GATEWAY = ("grows", "buries", "hears_of_the_receipt")
#: How often a rule is taken, and with what.
RULES: dict[str, tuple[float, Callable[[random.Random], dict[str, object]]]] = {
    "everybody_works": (6, lambda d: {"size": size(d), "rounds": few(d), "repairs": flag(d)}),
    "everybody_moves": (3, lambda _: {}),
    "client_acts": (4, lambda d: {"number": any_(d), "taken": size(d), "uploaded": size(d)}),
    "function_acts": (5, lambda d: {"number": any_(d), "size": size(d), "reads": flag(d)}),
    "function_starts_or_ends": (0.7, lambda d: {"number": any_(d), "ends": flag(d)}),
    "function_parts": (0.7, lambda d: {"number": any_(d), "silently": flag(d)}),
    "function_attaches": (5, lambda d: {"number": any_(d), "other": any_(d), "fresh": flag(d)}),
    "function_hedges": (2, lambda d: {"number": any_(d), "other": any_(d), "fresh": flag(d)}),
    "one_end_speaks": (8, lambda d: {"number": any_(d), "up": flag(d)}),
    "messages_arrive": (12, lambda d: {"number": any_(d), "up": flag(d), "count": few(d)}),
    "one_end_notices": (5, lambda d: {"number": any_(d), "function": flag(d)}),
    "wire_is_cut": (3, lambda d: {"number": any_(d), "up": bytes_(d), "down": bytes_(d)}),
    "wire_goes_half_open": (1, lambda d: {"number": any_(d), "up": flag(d)}),
    "time_passes": (3, lambda d: {"seconds": d.choice([0.05, 0.2, 5.5, 10.5, 400.0])}),
    "function_freezes_or_thaws": (1, lambda _: {}),
    "end_is_said_twice": (1, lambda d: {"number": any_(d)}),
    "gateway_acts": (2, lambda d: {"what": d.choice(GATEWAY), "number": any_(d)}),
    "another_exchange": (0.7, lambda d: {"upload": flag(d), "inv": d.randint(1, 2)}),
    "an_exchange_takes_another_end": (0.5, lambda d: rare(d, ENDINGS)),
    "somebody_else_acts": (0.7, lambda d: rare(d, INTRUSIONS)),
}
#: What a frozen function does not do.
AWAKE = frozenset(name for name in RULES if name.startswith(("function_", "end_", "an_"))) - {
    "function_freezes_or_thaws"
}


def any_(dice: random.Random) -> int:
    return dice.randint(0, 30)


def few(dice: random.Random) -> int:
    return dice.randint(1, 4)


def size(dice: random.Random) -> int:
    return dice.randint(1, 64)


def bytes_(dice: random.Random) -> int:
    return dice.choice([0, dice.randint(0, 200)])


def flag(dice: random.Random) -> bool:
    return dice.random() < 0.5


def rare(dice: random.Random, what: tuple[str, ...]) -> dict[str, object]:
    return {"what": dice.choice(what), "number": any_(dice), "size": size(dice)}


def leave_the_rest_to_receipts(machine: StreamMachine, dice: random.Random) -> None:
    """Every function ends where it stands, and returns with its tail."""
    machine.world.thaw()
    for copy in machine.world.copies:
        if copy.alive and dice.random() < 0.7:
            copy.end()
            copy.ended_early = True
            wire = copy.wire
            copy.go_back()
            if wire is not None:
                wire.function_closes()
    machine.every_invariant_holds()
    for exchange in machine.world.exchanges:
        if exchange.main.receipt and not exchange.receipt_taken:
            exchange.take_receipt()
    machine.world.move()  # what was still on its way comes after the receipt
    machine.every_invariant_holds()


def walk(seed: int) -> StreamMachine:
    """Take rules at random, hold the invariants after each, and let everything come to an end."""
    dice, machine = random.Random(seed), StreamMachine()
    machine.begin(upload=flag(dice), attached=True)
    weights = {name: weight for name, (weight, _) in RULES.items()}
    weights["somebody_else_acts"] *= dice.choice([0, 6])  # honest worlds, and others
    for name in dice.choices(list(weights), list(weights.values()), k=STEPS):
        arguments = RULES[name][1](dice)
        if machine.world.frozen and name in AWAKE:
            continue
        if name != "another_exchange" or len(machine.world.exchanges) < 3:
            getattr(machine, name)(**arguments)
        machine.every_invariant_holds()
    if flag(dice):
        leave_the_rest_to_receipts(machine, dice)
    machine.teardown()
    return machine


@pytest.mark.timeout(0 if WALKS > 1000 else 120)
@pytest.mark.usefixtures("small_numbers")
def test_walks_hold_the_invariants_and_come_far() -> None:
    seen: Counter[str] = Counter()
    for seed in range(WALKS):
        try:
            machine = walk(seed)
        except Exception as error:
            raise AssertionError(f"walk({seed}): {error!r}") from error
        for exchange in machine.world.exchanges:
            seen[f"{exchange.outcome}"] += 1
            seen["resumed"] += exchange.main.stream._epoch > 1
            seen["fenced"] += exchange.gateway.dropped > 0
            seen["by receipt"] += exchange.receipt_taken
            seen["parted"] += exchange.main.receipt is not None and exchange.main.parts is True
            seen["left an answer"] += exchange.main.stream.answer_due
    print(seen)
    wanted = ("ended", "broken", "resumed", "fenced", "by receipt", "parted", "left an answer")
    assert min(seen[what] for what in wanted) > 20
