"""How a test holds a function up: it waits for a file, which the test makes when it has seen enough."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

SECONDS = 20.0
"""A gate that nobody opens must not hang the suite."""


def wait(path: str) -> None:
    """Block until the file is there."""
    until = time.monotonic() + SECONDS
    while not Path(path).exists():
        if time.monotonic() > until:
            raise TimeoutError(path)
        time.sleep(0.005)


async def wait_async(path: str) -> None:
    """Suspend until the file is there."""
    until = time.monotonic() + SECONDS
    while not Path(path).exists():
        if time.monotonic() > until:
            raise TimeoutError(path)
        await asyncio.sleep(0.005)
