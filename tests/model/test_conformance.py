"""The model is what the code does: the same steps, and the same state after each of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from protocol.errors import ProtocolError
from tests.model.callback import Model
from tests.model.config import Config, Mutant
from tests.model.real import Real
from tests.model.state import Violation, describe
from tests.model.test_model import MISSED, id_of

if TYPE_CHECKING:
    from tests.model.state import State

# Up to thirteen seconds of pure computation, if nothing else runs; there is nothing in it that could hang.
pytestmark = pytest.mark.timeout(300)

#: Small enough for every step of the world to be made by the code as well.
WORLDS = (
    Config(body=1, window=1, attaches=2),
    Config(body=2, window=1, attaches=3, receipts=False),
    Config(body=2, window=2, attaches=2),
    Config(body=2, window=1, attaches=2, receipts=False, stale=True),
    Config(body=2, window=2, attaches=2, receipts=False, parting=1),
)
#: Too large for that: walks through them.
WIDE_WORLDS = (
    Config(body=4, window=2, attaches=4),
    Config(body=4, window=2, attaches=4, receipts=False, stale=True),
    Config(body=4, window=2, attaches=4, parting=2),
)
WALKS = 150
LONGEST_WALK = 80


class Difference(AssertionError):
    """Code and model do not agree."""


def make_step(real: Real, before: State, name: str, after: State) -> None:
    """Let the code make a step.

    Raises:
        Difference: it ends in another state than the model's.
    """
    try:
        real.take_step(name)
    except ProtocolError as error:
        raise Difference(f"{describe(before)}\n--- {name}: the code says: {error}") from error
    if real.state() != after:
        lines = (describe(before), f"--- {name}: the model says", describe(after))
        raise Difference("\n".join([*lines, "the code says", describe(real.state())]))


def compare_every_step(model: Model) -> tuple[int, int]:
    """Make every step of a world; return how many states and steps there are."""
    start, real = model.initial(), Real(model.config)
    assert real.state() == start
    seen, waiting, steps = {start}, [(start, real)], 0
    while waiting:
        before, real = waiting.pop()
        for name, _, after in model.steps(before):
            steps += 1
            copy = real.clone()
            make_step(copy, before, name, after)
            if after not in seen:
                seen.add(after)
                waiting.append((after, copy))
    return len(seen), steps


@pytest.mark.parametrize("config", WORLDS, ids=id_of)
def test_every_step_of_a_small_world(config: Config) -> None:
    states, steps = compare_every_step(Model(config))
    print(f"{states} states, {steps} steps made by the code")
    assert steps > 1000


@pytest.mark.parametrize("config", WIDE_WORLDS, ids=id_of)
def test_walks_through_a_wide_world(config: Config) -> None:
    model, ended = Model(config), 0
    for seed in range(WALKS):
        dice = random.Random(seed)
        state, real = model.initial(), Real(config)
        for _ in range(LONGEST_WALK):
            steps = model.steps(state)
            if not steps:
                break
            name, _, after = dice.choice(steps)
            make_step(real, state, name, after)
            state = after
        ended += model.is_terminal(state)
    assert ended > WALKS // 10


@pytest.mark.parametrize(
    ("mutant", "config"),
    [(mutant, config) for mutant, _, config in MISSED],
    ids=[mutant.name.lower() for mutant, _, _ in MISSED],
)
def test_the_code_is_none_of_the_mutants(mutant: Mutant, config: Config) -> None:
    with pytest.raises((Difference, Violation)):
        compare_every_step(Model(config, mutant))
