"""Comments that keep a quiet event stream alive through proxies that cut what is silent.

A comment stands between two events only, and no parser makes an event of it: an empty line follows at
once, since many clients split at empty lines before they look for ``data:``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.edge.sse import BOM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMENT = b":\n\n"


class Heartbeat:
    """Watches the silence of one event stream; one timer, whatever is written meanwhile.

    Args:
        seconds: of silence before a comment.
        beat: called after so much silence; sends a comment if one fits, and tells whether it did.
    """

    def __init__(self, seconds: float, beat: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._beat = beat
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._begun = False  # the function's own first bytes have passed
        self._led = False  # a comment came before them
        self._held = b""
        self._timer = self._loop.call_later(seconds, self._look)

    def pass_on(self, parts: Sequence[bytes]) -> Sequence[bytes]:
        """Note what is about to be written, and return what should be.

        A byte order mark means itself only at the very beginning. Behind a comment it would spoil the
        first event, so it is left out.
        """
        self._last = self._loop.time()
        if self._begun or not self._led:
            self._begun = self._begun or any(parts)
            return parts
        start = self._held + b"".join(parts)
        if start != BOM and BOM.startswith(start):
            self._held = start
            return ()
        self._begun, self._held = True, b""
        return (start.removeprefix(BOM),)

    def rest(self) -> bytes:
        """Return what was held back and turned out to be no byte order mark: the body is at its end."""
        held, self._held, self._begun = self._held, b"", True
        return held

    def close(self) -> None:
        """Nothing more is sent."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if now - self._last >= self._seconds:
            if self._beat() and not self._begun:
                self._led = True
            self._last = now
        self._timer = self._loop.call_at(self._last + self._seconds, self._look)
