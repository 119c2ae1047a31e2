"""Pseudo-random bytes that can be named by offset: expected bodies of any size, none of them kept.

Every block depends on its number, so a byte that is lost, doubled or invented is found out at once,
and where the stream went on tells which of the three it was.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1 << 16
"""Bytes that are made at a time; some 100 us."""

PROBE = 16
"""Bytes by which a wrong place is recognised: by chance they occur once in 10^38 places."""


class Content:
    """The body that a seed stands for.

    Attributes:
        seed: which body.
        total: its length in bytes.
    """

    def __init__(self, seed: int, total: int) -> None:
        self.seed = seed
        self.total = total
        self._number = -1
        self._block = b""

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer at the end."""
        stop = min(offset + size, self.total)
        parts = []
        while offset < stop:
            number, start = divmod(offset, BLOCK)
            part = self._make(number)[start : start + stop - offset]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def chunks(self, size: int, start: int = 0) -> Iterator[bytes]:
        """Yield everything from `start` on, `size` bytes at a time."""
        for offset in range(start, self.total, size):
            yield self.read(offset, size)

    def sha256(self) -> str:
        """The whole body's digest."""
        digest = hashlib.sha256()
        for chunk in self.chunks(BLOCK):
            digest.update(chunk)
        return digest.hexdigest()

    def find(self, probe: bytes) -> int:
        """Where these bytes are; -1 if they are of another body. Looks at everything."""
        before = b""
        for number, chunk in enumerate(self.chunks(BLOCK)):
            place = (before + chunk).find(probe)
            if place >= 0:
                return number * BLOCK - len(before) + place
            before = chunk[-len(probe) :]
        return -1

    def _make(self, number: int) -> bytes:
        if number != self._number:
            self._number = number
            self._block = random.Random(self.seed << 40 | number).randbytes(BLOCK)
        return self._block


@dataclass(frozen=True, slots=True)
class Wrong:
    """The first place where a body is not what it should be.

    Attributes:
        offset: of the byte.
        lost: bytes that were skipped.
        doubled: bytes that came again.
        invented: the bytes are of no place in this body.
    """

    offset: int
    lost: int = 0
    doubled: int = 0
    invented: bool = False


class Checker:
    """Compares a body with what it should be, as it comes.

    Attributes:
        content: what it should be.
        offset: bytes that were right so far.
        wrong: why it takes no more.
    """

    def __init__(self, content: Content) -> None:
        self.content = content
        self.offset = 0
        self.wrong: Wrong | None = None

    @property
    def whole(self) -> bool:
        """Whether everything came, and was right."""
        return self.wrong is None and self.offset == self.content.total

    def take(self, data: bytes) -> None:
        """Compare the next bytes."""
        if self.wrong is not None:
            return
        expected = self.content.read(self.offset, len(data))
        if data == expected:
            self.offset += len(data)
            return
        right = next(
            (
                place
                for place, pair in enumerate(zip(data, expected, strict=False))
                if _differ(pair)
            ),
            len(expected),
        )
        self.offset += right
        self.wrong = self._explain(data[right : right + PROBE])

    def _explain(self, probe: bytes) -> Wrong:
        place = self.content.find(probe)
        if place < 0:
            return Wrong(self.offset, invented=True)
        if place > self.offset:
            return Wrong(self.offset, lost=place - self.offset)
        return Wrong(self.offset, doubled=self.offset - place)


def _differ(pair: tuple[int, int]) -> bool:
    return pair[0] != pair[1]
