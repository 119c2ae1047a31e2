"""Every state of small worlds; and every rule that is left out is missed by a named invariant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from tests.model.callback import Model
from tests.model.config import Config, Mutant
from tests.model.explore import Explorer

if TYPE_CHECKING:
    from tests.model.state import State

# Up to thirteen seconds of pure computation, if nothing else runs; there is nothing in it that could hang.
pytestmark = pytest.mark.timeout(300)

#: Some 400,000 states together.
WORLDS = (
    Config(body=3, window=2, attaches=3),
    Config(body=3, window=2, attaches=4, receipts=False),
    Config(body=3, window=2, attaches=3, receipts=False, stale=True),
    Config(body=3, window=2, attaches=3, receipts=False, parting=2),
)
#: The smallest world in which a rule is missed, and by which invariant.
MISSED = (
    (Mutant.DATA_BEFORE_ATTACHED, "I1", Config(attaches=3, receipts=False)),
    (Mutant.RETURN_BEFORE_END_ACK, "I6", Config(receipts=False)),
    (Mutant.CREDIT_NOT_RESTATED, "I8", Config(receipts=False)),
    (Mutant.ACK_AT_RECEPTION, "I3", Config(receipts=False)),
    (Mutant.FENCE_BY_ARRIVAL, "I5", Config(attaches=3, receipts=False)),
    (Mutant.END_NOT_REPEATED, "I8", Config(receipts=False)),
    (Mutant.TAIL_FROM_SENT, "I1", Config()),
    (Mutant.HEAD_OF_ANOTHER, "I1", Config(receipts=False, stale=True)),
    (Mutant.REUSED_BEFORE_END_ACK, "I5", Config(receipts=False, parting=1)),
    (Mutant.BOUND_AFTER_PARTING, "I5", Config(receipts=False, parting=1)),
    (Mutant.PARTED_BEFORE_END, "I5", Config(receipts=False, parting=1)),
)


def id_of(config: Config) -> str:
    extra = ["receipts"] * config.receipts + ["stale"] * config.stale
    extra += [f"parting {config.parting}"] * (config.parting >= 0)
    return "-".join([f"{config.body}x{config.window}x{config.attaches}", *extra])


@pytest.mark.parametrize("config", WORLDS, ids=id_of)
def test_no_state_breaks_an_invariant_and_none_is_stuck(config: Config) -> None:
    result = Explorer(Model(config)).run()
    assert result.problem is None, "\n".join([str(result.problem), *result.trace])
    assert result.states > 40_000
    assert result.stuck == 0
    assert result.terminal > 0


@pytest.mark.parametrize(
    ("mutant", "invariant", "config"), MISSED, ids=[mutant.name.lower() for mutant, _, _ in MISSED]
)
def test_a_rule_that_is_left_out_is_missed(mutant: Mutant, invariant: str, config: Config) -> None:
    assert Explorer(Model(config)).run().problem is None
    result = Explorer(Model(config, mutant)).run()
    print(f"without the rule: {mutant.value}\n{result.problem}", *result.trace, sep="\n")
    assert result.problem is not None
    assert result.problem.startswith(invariant)
    assert result.trace[0].startswith("    F detached epoch=0")


def test_every_mutant_has_its_row() -> None:
    assert {mutant for mutant, _, _ in MISSED} == set(Mutant)


class Unwatched(Model):
    """Nobody looks at the states: what is wrong shows only in where they lead."""

    @override
    def check(self, state: State) -> None:
        pass


def test_to_return_before_end_ack_leaves_exchanges_stuck() -> None:
    result = Explorer(Unwatched(Config(receipts=False), Mutant.RETURN_BEFORE_END_ACK)).run()
    assert result.stuck > 0
    assert result.problem is not None
    assert result.problem.startswith("I8")


def test_a_trace_tells_what_happened() -> None:
    result = Explorer(Model(Config(receipts=False), Mutant.RETURN_BEFORE_END_ACK)).run()
    steps = [line[4:] for line in result.trace if line.startswith("---")]
    assert steps[-1] == "end"
    assert "attach" in steps
    assert "F done" in result.trace[-1]
    assert "F->G on 1" in result.trace[-1]
