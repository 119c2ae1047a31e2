"""Bytes as a row of decisions, for harnesses whose input has a structure.

Decisions are read from the front and default to the first choice when the bytes run out, so that
cutting an input short keeps what its beginning meant: that lets a fuzzer shrink and splice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from protocol.limits import MAX_INT

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

#: Where parsers go wrong: around the borders of every width that the wire knows.
_BORDERS = (0, 1, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**62, MAX_INT)


class Choices:
    """Reads decisions from bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def byte(self) -> int:
        """The next byte; 0 at the end."""
        taken = self.exactly(1)
        return taken[0] if taken else 0

    def flag(self) -> bool:
        return bool(self.byte() & 1)

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1; `limit` is at most 65,536."""
        return (self.byte() if limit <= 256 else int.from_bytes(self.exactly(2), "big")) % limit

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes, or what is left."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def some(self, limit: int) -> bytes:
        """A length below `limit`, and as many bytes."""
        return self.exactly(self.below(limit))

    def rest(self) -> bytes:
        return self.exactly(self.left)

    def near(self, *values: int, low: int = 0, high: int = MAX_INT) -> int:
        """A number within [`low`, `high`]: one of `values` or of the borders, or next to it."""
        how = self.byte()
        options = (*values, *_BORDERS)
        # Mostly the values themselves: a sequence of frames must get somewhere before it errs.
        step = (0, 0, 0, 0, 1, -1, 2, -2)[how >> 5]
        chosen = options[(how & 31) % len(options)]
        return max(low, min(high, chosen + step))
