"""A load with the figures that its rounds give, and how rounds alternate between the contenders."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from tests.benchmarks.client import Client
    from tests.benchmarks.contenders import Contender, Kind
    from tests.benchmarks.load import Round


@dataclass(frozen=True)
class Figure:
    """One number taken from a round.

    Attributes:
        name: what it is, as tables say it.
        unit: of the number.
        of: takes it from a round in which something came whole.
        less_is_better: for times; not for rates.
    """

    name: str
    unit: str
    of: Callable[[Round], float]
    less_is_better: bool = True


@dataclass(frozen=True)
class Measure:
    """A load, and the figures that its rounds give.

    Attributes:
        name: what `--only` selects it by, e.g. ``ttfb-10``.
        kinds: of contenders that take part.
        at_once: requests that it makes at a time.
        run: one round.
        figures: taken from each round.
    """

    name: str
    kinds: tuple[Kind, ...]
    at_once: int
    run: Callable[[Client], Awaitable[Round]]
    figures: tuple[Figure, ...]


@dataclass
class Results:
    """What came of it.

    Attributes:
        values: of each figure, for each contender by name, one for each round.
        rounds: of each measure, for each contender, as they were.
        broken: what did not come whole, and how often.
    """

    values: dict[Figure, dict[str, list[float]]] = field(default_factory=dict)
    rounds: dict[str, dict[str, list[Round]]] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def book(self, measure: Measure, contender: Contender, found: Round) -> None:
        """Take the figures of one round."""
        of_measure = self.rounds.setdefault(measure.name, defaultdict(list))
        of_measure[contender.name].append(found)
        for outcome, times in found.broken.items():
            self.broken[f"{contender.name}, {measure.name}: {outcome}"] += times
        for figure in measure.figures if found.whole else ():
            values = self.values.setdefault(figure, defaultdict(list))
            values[contender.name].append(figure.of(found))

    def add_medians(self, other: Results) -> None:
        """Take of each figure of another run the median, as if it were one round."""
        for figure, of in other.values.items():
            values = self.values.setdefault(figure, defaultdict(list))
            for name, found in of.items():
                values[name].append(statistics.median(found))
        for what, times in other.broken.items():
            self.broken[what] += times


def selected(measures: Iterable[Measure], only: Sequence[str]) -> list[Measure]:
    """Those whose name is one of the words, or begins with one and a dash; all without words.

    Raises:
        ValueError: a word selects nothing.
    """
    known = list(measures)
    for word in only:
        if not any(_is_meant(measure, word) for measure in known):
            names = ", ".join(measure.name for measure in known)
            raise ValueError(f"{word!r} is no measure; there are: {names}")
    return [one for one in known if not only or any(_is_meant(one, word) for word in only)]


def _is_meant(measure: Measure, word: str) -> bool:
    return measure.name == word or measure.name.startswith(f"{word}-")


async def one_round(contender: Contender, measure: Measure) -> Round:
    """Run a measure once.

    Raises:
        tests.benchmarks.contenders.NotStreamedError: a response took the wrong way.
    """
    before = await contender.counts()
    found = await measure.run(contender.client)
    found.counts = await contender.counts() - before
    contender.check(found.counts, found)
    return found


async def take_turns(
    contenders: Sequence[Contender],
    measures: Iterable[Measure],
    results: Results,
    *,
    rounds: int,
    say: Callable[[str], None] = lambda what: None,
) -> None:
    """Run every measure: a round for each contender in turn, so many times, after one to warm up.

    Who begins changes from round to round: what a round leaves behind meets everybody.
    """
    for measure in measures:
        say(measure.name)
        meant = [contender for contender in contenders if contender.kind in measure.kinds]
        for number in range(rounds + 1):
            for contender in meant if number % 2 else meant[::-1]:
                found = await one_round(contender, measure)
                if number:
                    results.book(measure, contender, found)
