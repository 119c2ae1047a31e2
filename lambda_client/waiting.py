"""Waiting for the I/O thread, in a blocked thread or in a suspended task alike."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Waiters:
    """Everybody who waits for a change of what one lock guards."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._changed = threading.Condition(lock)
        self._suspended: list[asyncio.Future[None]] = []

    def wait(self, ready: Callable[[], bool]) -> None:
        """Block until `ready()`. The lock is held."""
        self._changed.wait_for(ready)

    async def suspend(self, ready: Callable[[], bool]) -> None:
        """Suspend the task until something changed, unless it is `ready`. The lock is not held."""
        import asyncio  # whoever awaits this has it already

        with self._lock:
            if ready():
                return
            future = asyncio.get_running_loop().create_future()
            self._suspended.append(future)
        await future

    def notify(self) -> None:
        """Let everybody look again. The lock is held."""
        self._changed.notify_all()
        suspended, self._suspended = self._suspended, []
        for future in suspended:
            with suppress(RuntimeError):  # user code closed its loop: nobody waits there any more
                future.get_loop().call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def let_cancellation_come() -> None:
    """Suspend once: the task that was told to stop gets its CancelledError here.

    The I/O thread has asked for it before anybody could see why. Raised a moment later, it would meet
    the task in the middle of its cleaning up.
    """
    import asyncio

    await asyncio.sleep(0)
