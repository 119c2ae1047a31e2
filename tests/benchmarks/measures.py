"""A load with the figures that its rounds give, and how rounds alternate between the contenders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from tests.benchmarks.client import Client
    from tests.benchmarks.contenders import Contender, Kind
    from tests.benchmarks.load import Round
    from tests.benchmarks.results import Results, Row


FEW = 12
"""Functions that every gateway has at least."""


@dataclass(frozen=True)
class Figure:
    """One number taken from a round.

    Attributes:
        row: where it stands.
        of: takes it from a round in which something came whole; None where there is no such thing.
    """

    row: Row
    of: Callable[[Round], float | None]


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


def book(results: Results, measure: Measure, contender: Contender, found: Round) -> None:
    """Take the figures of one round."""
    if found.counts.frames:
        results.ways[measure.name].append((found.whole, found.counts))
    for outcome, times in found.broken.items():
        results.broken[f"{contender.name}, {measure.name}: {outcome}"] += times
    for figure in measure.figures if found.whole else ():
        if (value := figure.of(found)) is not None:
            results.put(figure.row, contender.name, value)


def selected(measures: Iterable[Measure], only: Sequence[str]) -> list[Measure]:
    """Those whose name is one of the words, or begins with one and a dash; all without words.

    Raises:
        ValueError: a word selects nothing.
    """
    known = list(measures)
    for word in only:
        if not any(_is_meant(measure, word) for measure in known):
            raise ValueError(f"{word!r} is no measure; there are: {names_of(known)}")
    return [one for one in known if not only or any(_is_meant(one, word) for word in only)]


def names_of(measures: Iterable[Measure]) -> str:
    """What `--only` may name, in a line."""
    return ", ".join(measure.name for measure in measures)


def _is_meant(measure: Measure, word: str) -> bool:
    return measure.name == word or measure.name.startswith(f"{word}-")


def grouped(measures: Iterable[Measure]) -> dict[int, list[Measure]]:
    """By how many requests they make at a time; those of few share their servers.

    A gateway that may run more functions than a measure needs starts some in the middle of a round.
    """
    groups: dict[int, list[Measure]] = {}
    for measure in measures:
        groups.setdefault(max(FEW, measure.at_once), []).append(measure)
    return groups


async def take_turns(
    contenders: Sequence[Contender],
    measures: Iterable[Measure],
    results: Results,
    *,
    at_once: int,
    rounds: int,
    say: Callable[[str], None] = lambda what: None,
) -> None:
    """Run every measure: a round for each contender in turn, so many times, after one to settle.

    Who begins changes from round to round: what a round leaves behind meets everybody. `at_once` is
    what the contenders were started for: all their functions are warm before each round.

    Raises:
        tests.benchmarks.contenders.NotStreamedError: a response took the wrong way.
    """
    for measure in measures:
        say(measure.name)
        meant = [contender for contender in contenders if contender.kind in measure.kinds]
        for number in range(rounds + 1):
            for contender in meant if number % 2 else meant[::-1]:
                await contender.warm_up(at_once)
                found = await contender.take(measure.run)
                if number:
                    book(results, measure, contender, found)
