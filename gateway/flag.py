"""An `asyncio.Event` for what there are thousands of: nothing in it until somebody waits.

The standard one makes a deque of 760 bytes for those who wait, who are one at most most of the time.
"""

from __future__ import annotations

import asyncio


class Flag:
    """Something that has happened, or has yet to; made and used like an `asyncio.Event`."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._is_set

    def set(self) -> None:
        """It has happened: everybody who waits goes on."""
        self._is_set = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """It has yet to happen again."""
        self._is_set = False

    async def wait(self) -> None:
        """Wait until it has happened."""
        if self._is_set:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)

    async def within(self, seconds: float) -> bool:
        """Wait so long at most; whether it has happened."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return False
        return True
