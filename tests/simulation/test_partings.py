"""A small response that has returned without an answer to its END, and what goes wrong just then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.client import Habits
from tests.simulation.scenario import BLOB, Act, Deed, Fate, Scenario
from tests.simulation.world import play

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.world import Report

SIZE = 200
SEEDS = range(8)
"""Of each the latency is another, and how much of what has arrived a read returns."""

WHOLE = f"saw 1: 200 {SIZE} Saw.CLEAN"


def parts(
    seed: int,
    fate: Fate,
    strikes: Sequence[tuple[float, str]] = (),
) -> Report:
    """Play a first exchange that leaves a connection, and a second one that parts from it."""
    body = BLOB[:SIZE]
    first = Act(0, 0.0, False, Habits(), Deed("stream", body, [(SIZE, 0.0), (0, 2.0)]), Fate())
    deed = Deed("stream", body, [(SIZE // 2, 0.0), (SIZE // 2, 0.05)])
    second = Act(1, 1.0, True, Habits(), deed, fate, strikes=list(strikes))
    report = play(Scenario(seed, [first, second], mode="inline"))
    assert report.problems == []
    return report


def saw(report: Report) -> list[str]:
    return [what for _, who, what in report.trace if who == "client" and what.startswith("saw 1")]


@pytest.mark.parametrize("seed", SEEDS)
def test_it_parts(seed: int) -> None:
    report = parts(seed, Fate())
    assert saw(report) == [WHOLE]
    assert ("function", "parts and asks for no answer") in report.visited


@pytest.mark.parametrize("leaves", ["crash", "lost"])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_becomes_of_the_invoke_changes_no_end_that_has_come(seed: int, leaves: str) -> None:
    report = parts(seed, Fate(leaves=leaves, late=1.0, lingers=1.0))
    assert saw(report) == [WHOLE]
    how = "fails" if leaves == "crash" else "is lost"
    assert ("invoke", f"{how} behind the end") in report.visited


@pytest.mark.fault(7)
@pytest.mark.parametrize("how", ["reset", "hang_up", "black_hole", "deaf"])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_end_that_is_cut_off_is_in_the_receipt(seed: int, how: str) -> None:
    assert saw(parts(seed, Fate(leaves=how, late=0.1))) == [WHOLE]


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_knew_that_the_connection_was_dead(seed: int) -> None:
    assert saw(parts(seed, Fate(), strikes=[(0.02, "black_hole")])) == [WHOLE]


@pytest.mark.fault(7)
@pytest.mark.parametrize("leaves", ["crash", "lost"])
@pytest.mark.parametrize("seed", SEEDS)
def test_without_end_and_receipt_it_is_visibly_broken(seed: int, leaves: str) -> None:
    """The price: an earlier function would still have been there to come back."""
    report = parts(seed, Fate(leaves=leaves), strikes=[(0.02, "black_hole")])
    assert len(saw(report)) == 1
    assert saw(report) != [WHOLE]
    assert " 200 " not in saw(report)[0] or "CLEAN" not in saw(report)[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gateway_begins_to_go_down_just_then(seed: int) -> None:
    body = BLOB[:SIZE]
    deed = Deed("stream", body, [(SIZE // 2, 0.0), (0, 2.0), (SIZE // 2, 0.0)])
    act = Act(0, 0.0, False, Habits(), deed, Fate())
    report = play(Scenario(seed, [act], mode="inline", stops=(None, 20.0)))
    assert report.problems == []
    assert ("client", f"saw 0: 200 {SIZE} Saw.CLEAN") in {line[1:] for line in report.trace}
