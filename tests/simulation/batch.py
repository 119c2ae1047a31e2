"""Many simulations, and what they reached."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.exchange.states import TABLE
from tests.simulation.partings import PARTINGS
from tests.simulation.world import simulate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.simulation.world import Report

Transition = tuple[str, str]

NEVER: dict[Transition, str] = {
    ("received", "upload_failed"): "a body that breaks off before admission is refused",
    ("invoking", "stream_failed"): "needs a function that breaks a rule in its first ATTACH",
    ("invoking", "invoke_returned"): "is told only after the end",
    ("streaming", "invoke_returned"): "is told only after the end",
    ("detached", "invoke_returned"): "is told only after the end",
    ("streaming", "answered"): "the library returns a receipt once it has attached",
    ("detached", "answered"): "the library returns a receipt once it has attached",
    ("detached", "stream_failed"): "needs a function that comes back with a gap",
    ("streaming", "head_expired"): "the simulated route has no head_timeout",
    ("detached", "head_expired"): "the simulated route has no head_timeout",
}
"""Transitions that no fault brings about while both ends keep the rules, and why."""

RARE: dict[Transition, str] = {
    ("detached", "bodiless"): "the connection must be lost in the turn in which the head came",
    ("detached", "write_stalled"): "three rare faults at a time",
    ("detached", "upload_failed"): "two rare faults at a time",
    ("detached", "drain_expired"): "two rare faults at a time",
    ("flushing", "drain_expired"): "two rare faults at a time",
}
"""Transitions that a batch of some thousand may miss."""


def transitions() -> set[Transition]:
    """Return every pair of state and event that moves an exchange."""
    return {
        (state.value, event.value)
        for state, row in TABLE.items()
        for event, target in row.items()
        if target is not None
    }


@dataclass
class Batch:
    """What some simulations came to.

    Attributes:
        failed: the reports of those that went wrong.
        visited: in how many of them an event came in a state.
        count: how many there were.
        steps: turns of event loops.
    """

    failed: list[Report] = field(default_factory=list)
    visited: Counter[Transition] = field(default_factory=Counter)
    count: int = 0
    steps: int = 0

    def run(self, seeds: Iterable[int]) -> Batch:
        """Play these seeds as well."""
        for seed in seeds:
            report = simulate(seed)
            self.count += 1
            self.steps += report.steps
            self.visited.update(report.visited)
            if report.problems:
                report.trace = []
                self.failed.append(report)
        return self

    def missed(self) -> set[Transition]:
        """Return the transitions and the partings that faults can bring about and that did not come."""
        return (transitions() | PARTINGS) - NEVER.keys() - RARE.keys() - self.visited.keys()

    def describe(self) -> str:
        """Tell what went wrong, and how to see it again."""
        lines = [f"{len(self.failed)} of {self.count} simulations went wrong"]
        for report in self.failed[:5]:
            lines.append(f"python -m tests.simulation --seed {report.seed} --trace")
            lines += [f"    {problem}" for problem in report.problems[:5]]
        return "\n".join(lines)
