"""Simulated machines, switched off after each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.pair import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def pairs() -> Iterator[Callable[[int], Pair]]:
    made: list[Pair] = []

    def make(seed: int) -> Pair:
        made.append(Pair(seed))
        return made[-1]

    yield make
    for one in made:
        one.scheduler.close()


@pytest.fixture
def pair(pairs: Callable[[int], Pair]) -> Pair:
    return pairs(1)
