"""The persistent event loop of the thread that runs user code.

One loop for the life of the environment, so that what async handlers keep between invocations (HTTP
clients, connection pools) stays bound to a loop that still runs.
"""

from __future__ import annotations

import asyncio
import os
from types import CoroutineType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from lambda_client.errors import ClientGone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ENDING_SECONDS = 0.5
"""So long user code that was broken off from outside, or dropped, may take for its `finally`; then it stays where
it is."""

_left: WeakSet[asyncio.Task[Any]] = WeakSet()
"""Closes a generator, and took too long for it: the invocations to come do not wait for it again."""

_loop: asyncio.AbstractEventLoop | None = None
_of_parents: list[asyncio.AbstractEventLoop] = []
"""Those of the processes that this one is a fork of. They are kept: a loop that is freed is closed, and would take
its bell out of the epoll set that both processes share."""


def run_async(value: Awaitable[Any], watch: Callable[[Callable[[], None] | None], None]) -> Any:
    """Run user code to its end and return its value.

    Args:
        value: what the async handler returned.
        watch: told how to cancel it from another thread, and with None that it is over.
    """
    loop = main_loop()
    task = loop.create_task(value if type(value) is CoroutineType else _await(value))

    def cancel() -> None:
        loop.call_soon_threadsafe(task.cancel)

    watch(cancel)
    try:
        return loop.run_until_complete(task)
    except (asyncio.CancelledError, ClientGone) as error:
        error.with_traceback(None)  # and with it its frames, and the generators that they held
        raise
    finally:
        watch(None)
        # An exception came to the loop itself? The next invocation must not run this one on.
        if not task.done():
            task.cancel()
            loop.run_until_complete(asyncio.wait({task}, timeout=ENDING_SECONDS))
        elif task.cancelled() or task.exception() is not None:
            loop.run_until_complete(asyncio.sleep(0))  # only now is let go of what it held
        _close_generators(loop)


def _close_generators(loop: asyncio.AbstractEventLoop) -> None:
    """Let asynchronous generators that user code has dropped in the middle run their ``finally``.

    The event loop closes them, in tasks; but it stands still once the invocation has returned.
    """
    until = loop.time() + ENDING_SECONDS
    while closing := [task for task in asyncio.all_tasks(loop) if _closes(task)]:
        # One that is closed may drop another.
        loop.run_until_complete(asyncio.wait(closing, timeout=until - loop.time()))
        if loop.time() >= until:
            _left.update(closing)


def _closes(task: asyncio.Task[Any]) -> bool:
    """Whether a task is the event loop's own, to close a generator, and worth waiting for."""
    return type(task.get_coro()).__name__ == "async_generator_athrow" and task not in _left


async def _await(value: Awaitable[Any]) -> Any:
    return await value


def main_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, made on first use and again after a fork."""
    global _loop  # noqa: PLW0603 - one per process is the point
    if _loop is None or _loop.is_closed():
        _loop = asyncio.new_event_loop()
    return _loop


def _after_fork() -> None:
    global _loop  # noqa: PLW0603 - as above
    if _loop is not None:
        _of_parents.append(_loop)
        _loop = None


os.register_at_fork(after_in_child=_after_fork)
