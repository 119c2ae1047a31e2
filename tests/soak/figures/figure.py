"""One figure: what was aimed at, what was measured, and how."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what is measured.
        target: what it should be, in words.
        measured: what it is.
        reached: whether that is enough.
    """

    name: str
    target: str
    measured: str
    reached: bool

    @property
    def verdict(self) -> str:
        """In a word or three."""
        return "reached" if self.reached else "**not reached**"


@dataclass(frozen=True, slots=True)
class Found:
    """What one command found.

    Attributes:
        title: of its section.
        how: how it was measured, in a paragraph.
        figures: one at least.
        notes: further lines worth knowing.
    """

    title: str
    how: str
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)

    @property
    def reached(self) -> bool:
        """Whether every figure was reached."""
        return all(figure.reached for figure in self.figures)


def at_most(name: str, measured: float, limit: float, unit: str) -> Figure:
    """A figure that should be small."""
    said = f"{measured:,.1f} {unit}"
    return Figure(name, f"at most {limit:g} {unit}", said, reached=measured <= limit)


def exactly(name: str, measured: int, wanted: int) -> Figure:
    """A figure that is a count."""
    return Figure(name, f"{wanted:,}", f"{measured:,}", reached=measured == wanted)


def at_least(name: str, measured: int, wanted: int) -> Figure:
    """A figure that is a count, and may be larger."""
    return Figure(name, f"at least {wanted:,}", f"{measured:,}", reached=measured >= wanted)
