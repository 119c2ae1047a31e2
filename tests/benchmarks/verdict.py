"""Whether one of two versions is faster, judged from pairs of rounds, without assuming how they scatter.

The ratio of each pair is one observation. The true median of the ratios lies between the k-th smallest
and the k-th largest of n observations with a probability that follows from the binomial distribution
alone (order statistics; e.g. Conover, Practical Nonparametric Statistics, section 3.2). If that interval
does not hold 1, the two differ.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.99
"""Of one row: of thirty rows that are all equal, one in three runs shows one that seems to differ."""

FEWEST = 8
"""Pairs: with fewer not even the interval of all of them has that confidence."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What pairs of values come to.

    Attributes:
        before: median of the first of each pair; `after` of the second.
        ratio: median of after : before.
        low: where the true median of the ratios begins, at `CONFIDENCE`; `high` where it ends.
        word: ``better``, ``worse``, or ``within noise``.
    """

    before: float
    after: float
    ratio: float
    low: float
    high: float
    word: str


def judge(before: Sequence[float], after: Sequence[float], *, less_is_better: bool) -> Verdict:
    """Compare pairs of values, all of them positive.

    Raises:
        ValueError: they are not pairs, or fewer than `FEWEST`.
    """
    ratios = sorted(new / old for old, new in zip(before, after, strict=True))
    margin = outside(len(ratios))
    low, high = ratios[margin], ratios[-1 - margin]
    if low <= 1 <= high:
        word = "within noise"
    else:
        word = "better" if (high < 1) is less_is_better else "worse"
    medians = statistics.median(before), statistics.median(after)
    return Verdict(*medians, statistics.median(ratios), low, high, word)


def outside(pairs: int) -> int:
    """Return how many observations at either end the interval may leave out.

    Raises:
        ValueError: there are fewer than `FEWEST`.
    """
    if pairs < FEWEST:
        raise ValueError(f"{pairs} rounds are too few to tell a difference; {FEWEST} are needed")
    left_out = 0
    while 2 * _at_most(left_out + 1, pairs) <= 1 - CONFIDENCE:
        left_out += 1
    return left_out


def _at_most(heads: int, tosses: int) -> float:
    """The probability of no more heads than that, of a fair coin."""
    return sum(math.comb(tosses, few) for few in range(heads + 1)) / float(2**tosses)
