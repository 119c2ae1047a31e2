"""Breadth first through every state of a model; then backward from the ends, to find who is stuck."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.model.state import Violation, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.callback import Model
    from tests.model.state import Ints, State, Step


@dataclass
class Result:
    """What an exploration found.

    Attributes:
        states: how many there are.
        transitions: steps between them.
        terminal: states in which the exchange is over.
        stuck: states from which, without further faults, none of these can be reached.
        problem: the first broken invariant or the first stuck state, in words; None for neither.
        trace: how it comes about, one line a step.
    """

    states: int = 0
    transitions: int = 0
    terminal: int = 0
    stuck: int = 0
    problem: str | None = None
    trace: list[str] = field(default_factory=list)


class Explorer:
    """One run through the states of one model."""

    def __init__(self, model: Model, progress: Callable[[int, int], None] | None = None) -> None:
        self._model = model
        self._progress = progress
        self._number: dict[State, int] = {}
        self._order: list[State] = []
        self._shared: dict[Ints, Ints] = {}  # few parts make many states
        self._parent = array("l")
        self._from = array("l")  # steps without a fault: from ...
        self._to = array("l")  # ... to
        self._result = Result()

    def run(self) -> Result:
        """Explore; stop at the first broken invariant."""
        self._add(self._model.initial(), -1)
        at = 0
        try:
            while at < len(self._order):
                self._expand(at)
                at += 1
                if self._progress is not None and at % 100_000 == 0:
                    self._progress(at, len(self._order))
        except Violation as violation:
            self._fail(str(violation), at)
        else:
            self._find_stuck()
        self._result.states = len(self._order)
        return self._result

    def _expand(self, at: int) -> None:
        number, add = self._number, self._add
        for _, fault, state in self._model.steps(self._order[at]):
            there = number.get(state)
            if there is None:
                there = add(state, at)
            self._result.transitions += 1
            if not fault:
                self._from.append(at)
                self._to.append(there)

    def _add(self, found: State, parent: int) -> int:
        share = self._shared.setdefault
        function, gateway, queues, back = found
        queues = tuple([share(queue, queue) for queue in queues])
        state = share(function, function), share(gateway, gateway), queues, share(back, back)
        there = self._number[state] = len(self._order)
        self._order.append(state)
        self._parent.append(parent)
        try:
            self._model.check(state)
        except Violation as violation:
            self._fail(str(violation), there)
            raise
        return there

    def _find_stuck(self) -> None:
        count = len(self._order)
        first = array("l", bytes((count + 1) * array("l").itemsize))
        for to in self._to:
            first[to + 1] += 1
        for index in range(count):
            first[index + 1] += first[index]
        slot, back = array("l", first), array("l", self._from)
        for origin, to in zip(self._from, self._to, strict=True):
            back[slot[to]] = origin
            slot[to] += 1
        good = bytearray(count)
        waiting = [at for at, state in enumerate(self._order) if self._model.is_terminal(state)]
        self._result.terminal = len(waiting)
        for at in waiting:
            good[at] = 1
        while waiting:
            at = waiting.pop()
            for origin in back[first[at] : first[at + 1]]:
                if not good[origin]:
                    good[origin] = 1
                    waiting.append(origin)
        self._result.stuck = count - sum(good)
        if self._result.stuck:
            self._fail(f"I8: {self._result.stuck} states are stuck, the first", good.index(0))

    def _fail(self, problem: str, at: int) -> None:
        if self._result.problem is None:
            self._result.problem = problem
            self._result.trace = self._trace(at)

    def _trace(self, at: int) -> list[str]:
        path = [at]
        while self._parent[path[-1]] >= 0:
            path.append(self._parent[path[-1]])
        path.reverse()
        lines = [describe(self._order[path[0]])]
        for before, after in pairwise(path):
            lines.append(f"--- {self._step(before, after)}")
            lines.append(describe(self._order[after]))
        return lines

    def _step(self, before: int, after: int) -> str:
        steps: list[Step] = self._model.steps(self._order[before])
        return next(name for name, _, state in steps if self._number.get(state) == after)
