"""A loop whose clock a test moves on: timers that are far off are over at once, and no stall of the machine is one.

A test marked ``steered`` runs on it, in the folders whose tests otherwise run on both event loops.
"""

from __future__ import annotations

import asyncio

from typing_extensions import override

from tests.settling import settle


class SteeredLoop(asyncio.SelectorEventLoop):
    """A loop whose clock goes on by itself, and can be moved on."""

    ahead = 0.0

    @override
    def time(self) -> float:
        return super().time() + self.ahead


async def pass_time(seconds: float) -> None:
    """Move the clock on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteeredLoop)
    loop.ahead += seconds
    await settle()
