"""Takes what a function still sends although its client has left (``on_disconnect = "continue"``).

Every byte is acknowledged and dropped, so that the function never waits for anybody, and no more than
what came in one turn of the loop is held.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.journal.memory import MemoryJournal


class Onward:
    """Reads one response body for nobody; it takes the place of the `Forwarder`.

    Args:
        journal: where the bytes come from.
        on_flushed: called once, when the body ended.
    """

    def __init__(self, journal: MemoryJournal, on_flushed: Callable[[], None]) -> None:
        self._journal = journal
        self._on_flushed = on_flushed
        self._scheduled = False
        self._open = True

    def readable(self) -> None:
        """The journal has something new: drop it at the end of this turn of the loop."""
        if self._open and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def move(self) -> None:
        """Drop what is there, now."""
        if not self._open:
            return
        self._journal.discard()
        if self._journal.exhausted:
            self._open = False
            self._on_flushed()

    def close(self) -> None:
        """Stop."""
        self._open = False

    def _turn(self) -> None:
        self._scheduled = False
        self.move()
