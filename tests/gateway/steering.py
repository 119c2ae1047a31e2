"""A loop whose clock a test moves on: timers that are far off are over at once, and no stall of the machine is one.

A test marked ``steered`` runs on it, in the folders whose tests otherwise run on both event loops.
"""

from __future__ import annotations

import asyncio

from typing_extensions import override

TURNS = 12
"""Turns of the loop in which every consequence of one event has happened."""


class SteeredLoop(asyncio.SelectorEventLoop):
    """A loop whose clock goes on by itself, and can be moved on."""

    ahead = 0.0

    @override
    def time(self) -> float:
        return super().time() + self.ahead


async def turn() -> None:
    """Let everything happen that does not wait for time."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def pass_time(seconds: float) -> None:
    """Move the clock on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteeredLoop)
    loop.ahead += seconds
    await turn()
