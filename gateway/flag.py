"""An `asyncio.Event` for what there are thousands of: nothing in it until somebody waits.

The standard one makes a deque of 760 bytes for those who wait, who are one at most most of the time.
"""

from __future__ import annotations

import asyncio


class Flag:
    """Something that has happened, or has yet to; used like an `asyncio.Event`.

    Attributes:
        happened: whether it has.
    """

    __slots__ = ("_waiters", "happened")

    def __init__(self) -> None:
        self.happened = False
        self._waiters: list[asyncio.Future[None]] = []

    def set(self) -> None:
        """It has happened: everybody who waits goes on."""
        self.happened = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """It has yet to happen again."""
        self.happened = False

    async def wait(self) -> None:
        """Wait until it has happened."""
        if self.happened:
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
