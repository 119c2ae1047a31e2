"""How much memory a piece of code asks for at its peak."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Peak:
    """Attributes: bytes: most bytes held at a time by what the block allocated."""

    bytes = 0


@contextmanager
def measured_peak() -> Iterator[Peak]:
    """Measure the block; the result is filled in at its end, also when it raises."""
    peak = Peak()
    tracemalloc.start()
    try:
        yield peak
    finally:
        peak.bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
