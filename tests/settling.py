"""Whatever does not wait for time: a connection that is being accepted or closed, too, is a socket left to the collector
where its loop ends before that."""

from __future__ import annotations

import asyncio

TURNS = 12
"""Accepting takes three turns of the loop, closing two; each may be begun by the one before. In so many every
consequence of one event has happened."""


async def settle() -> None:
    """Let everything happen that does not wait for time."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
