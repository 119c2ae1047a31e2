"""A loop that ends while a connection is being accepted or closed leaves a socket to the collector."""

from __future__ import annotations

import asyncio

TURNS = 10
"""Accepting takes three turns of the loop, closing two; each may be begun by the one before."""


async def settle() -> None:
    """Let whatever is being accepted or closed come to its end."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
