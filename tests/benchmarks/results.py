"""What was measured: rows of values, for each contender."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.counts import Counts


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        section: the table.
        name: what it is; no other row has the same.
        unit: of its numbers.
        less_is_better: for times; not for rates.
    """

    section: str
    name: str
    unit: str
    less_is_better: bool = True


@dataclass
class Results:
    """What came of it.

    Attributes:
        values: of each row, for each contender by name, one for each round.
        ways: of each measure, what a gateway counted in each round, and how many responses it gave.
        broken: what did not come whole, and how often.
    """

    values: dict[Row, dict[str, list[float]]] = field(default_factory=dict)
    ways: dict[str, list[tuple[int, Counts]]] = field(default_factory=lambda: defaultdict(list))
    broken: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def expect(self, rows: Iterable[Row]) -> None:
        """Keep places for rows: in this order they stand in the tables, whenever they are measured."""
        for row in rows:
            self.values.setdefault(row, defaultdict(list))

    def put(self, row: Row, contender: str, *values: float) -> None:
        """Note values of a contender."""
        self.values.setdefault(row, defaultdict(list))[contender].extend(values)

    def of(self, name: str, contender: str) -> list[float]:
        """The values of the row with this name, one for each round; none where nothing was measured."""
        for row, values in self.values.items():
            if row.name == name:
                return values.get(contender, [])
        return []

    def median(self, name: str, contender: str) -> float | None:
        """Of the row with this name; None where nothing was measured."""
        values = self.of(name, contender)
        return statistics.median(values) if values else None

    def unit(self, name: str) -> str:
        """Of the row with this name; empty where nothing was measured."""
        return next((row.unit for row in self.values if row.name == name), "")

    def add_medians(self, other: Results) -> None:
        """Take of each row of another run the median, as if it were one round."""
        for row, of in other.values.items():
            for contender, found in of.items():
                self.put(row, contender, statistics.median(found))
        for what, times in other.broken.items():
            self.broken[what] += times
