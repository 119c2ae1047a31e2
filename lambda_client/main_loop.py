"""The persistent event loop of the thread that runs user code.

One loop for the life of the environment, so that what async handlers keep between invocations (HTTP
clients, connection pools) stays bound to a loop that still runs.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ENDING_SECONDS = 0.5
"""So long user code that was broken off from outside may take for its `finally`; then it stays where it is."""

_loop: tuple[int, asyncio.AbstractEventLoop] | None = None


def run_async(value: Awaitable[Any], watch: Callable[[Callable[[], None] | None], None]) -> Any:
    """Run user code to its end and return its value.

    Args:
        value: what the async handler returned.
        watch: told how to cancel it from another thread, and with None that it is over.
    """
    loop = main_loop()
    task = loop.create_task(_await(value))

    def cancel() -> None:
        loop.call_soon_threadsafe(task.cancel)

    watch(cancel)
    try:
        return loop.run_until_complete(task)
    finally:
        watch(None)
        if (
            not task.done()
        ):  # an exception came to the loop itself; the next invocation must not run this one on
            task.cancel()
            loop.run_until_complete(asyncio.wait({task}, timeout=ENDING_SECONDS))


async def _await(value: Awaitable[Any]) -> Any:
    return await value


def main_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, made on first use and again after a fork."""
    global _loop  # noqa: PLW0603 - one per process is the point
    if _loop is None or _loop[0] != os.getpid() or _loop[1].is_closed():
        _loop = os.getpid(), asyncio.new_event_loop()
    return _loop[1]
