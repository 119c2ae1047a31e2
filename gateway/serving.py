"""Runs an app on its sockets until it is told to stop, and ends it in order: finish, or break off."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from gateway.heap import bound_growth, calm_collector, sweep
from gateway.listener import Listener
from gateway.sockets import BACKLOG

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Mapping

    from gateway.app import App

log = logging.getLogger("dialback.server")

UNFINISHED = 1
"""Exit code of a gateway that had to break something off."""


class Stop:
    """The order to stop, in two steps. Made on the event loop.

    Attributes:
        begun: take nothing new, and finish what is begun.
        at_once: break off what is left.
    """

    def __init__(self) -> None:
        self.begun, self.at_once = asyncio.Event(), asyncio.Event()

    def told(self) -> None:
        """Somebody says stop, for the first or the second time."""
        (self.at_once if self.begun.is_set() else self.begun).set()

    def on_signals(self) -> None:
        """Take SIGINT and SIGTERM for the order."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        if not self.begun.is_set():
            log.info("finishing what is begun; a second signal breaks it off")
        self.told()


async def serve(
    app: App,
    sockets: Mapping[str, socket.socket],
    stop: Stop,
    drain_deadline: float,
    ready: Callable[[], None],
) -> int:
    """Serve until told to stop, and close the app; return the exit code.

    Args:
        app: made, not started.
        sockets: bound, by the names of the app's protocol factories; closed in the end.
        stop: the order.
        drain_deadline: seconds to finish what is begun.
        ready: called once everything listens.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(app.close)
        await first(app.start(), stop.begun.wait())
        if stop.begun.is_set():
            return 0
        calm_collector()
        for watching in (sweep(app.connections), bound_growth()):
            stack.callback(asyncio.create_task(watching).cancel)
        edge = _listen(app, sockets, stack)["edge"]
        app.accepting()
        ready()
        await stop.begun.wait()
        edge.close()
        app.refuse(drain_deadline)
        finished = await first(app.finished(), stop.at_once.wait(), drain_deadline)
        if finished is not True:
            log.warning("breaking off what is left")
            await app.cut()
    return 0 if finished is True else UNFINISHED


def _listen(
    app: App, sockets: Mapping[str, socket.socket], stack: AsyncExitStack
) -> dict[str, Listener]:
    """Listen on all of them; the listeners are closed with the stack."""
    factories = app.factories()
    for one in sockets.values():
        one.listen(BACKLOG)
    listeners = {
        name: Listener(name, one, factories[name], app.spare_descriptors)
        for name, one in sockets.items()
    }
    for listener in listeners.values():
        stack.callback(listener.close)
    return listeners


async def first(
    one: Coroutine[None, None, object],
    other: Coroutine[None, None, object],
    seconds: float | None = None,
) -> object:
    """Wait for the first of two, or for the time to be over; return what `one` returned, or None."""
    tasks = [asyncio.create_task(one), asyncio.create_task(other)]
    done, pending = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return tasks[0].result() if tasks[0] in done else None


def run_loop(serving: Coroutine[None, None, int]) -> int:
    """Run on the best event loop there is."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(serving)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # optional: fewer CPU cycles for each small message
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
