"""Waiting for what the I/O brings about, in a blocked thread or in a suspended task alike."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from lambda_client.loop import Io


class Gate:
    """What one blocked thread waits at, until somebody opens it.

    Attributes:
        opened: somebody has.
    """

    __slots__ = ("_lock", "opened")

    def __init__(self) -> None:
        self.opened = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let whoever waits go on."""
        if not self.opened:
            self.opened = True
            self._lock.release()

    def wait(self) -> None:
        """Block until it is open."""
        self._lock.acquire()


class Waiters:
    """Everybody who waits for a change of what one lock guards.

    Whoever changes it looks whether that is what somebody waits for: a thread that is woken in vain costs
    two switches, and the answers of a gateway to one response are three.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._waiting: list[tuple[Callable[[], bool], Callable[[], object]]] = []

    def wait(self, ready: Callable[[], bool], io: Io | None) -> None:
        """Block until `ready()`, which must not block and is asked with the lock held. It is not held now.

        Args:
            ready: what is waited for.
            io: what brings it about, and may use this thread for it meanwhile; None if only a thread does.
        """
        while True:
            with self._lock:
                if ready():
                    return
                gate = Gate()
                waiter = (ready, gate.open if io is None else partial(_open, gate, io))
                self._waiting.append(waiter)
            try:
                gate.wait() if io is None else io.block(gate)
            finally:
                if not gate.opened:  # nobody has woken it: an exception came from outside
                    with self._lock, suppress(ValueError):
                        self._waiting.remove(waiter)

    async def suspend(self, ready: Callable[[], bool], io: Io | None = None) -> None:
        """Suspend the task until it was `ready()`, unless it is. The lock is not held."""
        import asyncio  # whoever awaits this has it already

        with self._lock:
            if ready():
                return
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            waiter = (ready, partial(_tell, loop, future))
            self._waiting.append(waiter)
        try:  # a signal's handler may raise in the midst of `attend`
            if io is not None:
                io.attend(future)
            await future
        finally:
            if io is not None:
                io.release(future)
            with self._lock, suppress(ValueError):
                self._waiting.remove(waiter)

    def notify(self) -> None:
        """Wake whoever is ready, now that all has changed. The lock is held."""
        if not self._waiting:
            return
        for waiter in tuple(self._waiting):
            ready, wake = waiter
            if ready():
                wake()
                self._waiting.remove(waiter)


def _open(gate: Gate, io: Io) -> None:
    gate.open()
    io.nudge()


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    try:
        loop.call_soon_threadsafe(_resolve, future)
    except RuntimeError:
        if not loop.is_closed():  # by user code: nobody waits there any more
            raise


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def running_task() -> object:
    """Return the task that runs."""
    import asyncio

    return asyncio.current_task()


async def let_cancellation_come() -> None:
    """Suspend once: the task that was told to stop gets its CancelledError here.

    The I/O has asked for it before anybody could see why. Raised a moment later, it would meet
    the task in the middle of its cleaning up.
    """
    import asyncio

    await asyncio.sleep(0)
