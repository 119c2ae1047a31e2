"""Waiting for the I/O thread, in a blocked thread or in a suspended task alike."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Waiters:
    """Everybody who waits for a change of what one lock guards.

    Whoever changes it looks whether that is what somebody waits for: a thread that is woken in vain costs
    two switches, and the answers of a gateway to one response are three.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._waiting: list[tuple[Callable[[], bool], Callable[[], object]]] = []

    def wait(self, ready: Callable[[], bool]) -> None:
        """Block until `ready()`, which must not block. The lock is held."""
        while not ready():
            gate = threading.Lock()
            gate.acquire()
            waiter = (ready, gate.release)
            self._waiting.append(waiter)
            self._lock.release()
            try:
                gate.acquire()
            finally:
                self._lock.acquire()
                with suppress(ValueError):  # woken, and so not in it any more
                    self._waiting.remove(waiter)

    async def suspend(self, ready: Callable[[], bool]) -> None:
        """Suspend the task until it was `ready()`, unless it is. The lock is not held."""
        import asyncio  # whoever awaits this has it already

        with self._lock:
            if ready():
                return
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            waiter = (ready, lambda: loop.call_soon_threadsafe(_resolve, future))
            self._waiting.append(waiter)
        try:
            await future
        finally:
            with self._lock, suppress(ValueError):
                self._waiting.remove(waiter)

    def notify(self) -> None:
        """Wake whoever is ready, now that all has changed. The lock is held."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            ready, wake = waiter
            if not ready():
                self._waiting.append(waiter)
                continue
            with suppress(RuntimeError):  # user code closed its loop: nobody waits there any more
                wake()


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
