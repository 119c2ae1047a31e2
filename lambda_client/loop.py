"""The one background thread on which every socket of this environment lives.

It is made when the first exchange needs a socket, never at import: a process that forks afterwards
(or an image restored by SnapStart) would otherwise inherit a dead thread and a shared epoll set.
asyncio is imported on this thread, so that the first dial's imports overlap with the handler.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from lambda_client.connection import Connection


IDLE_SECONDS = 45.0
"""A connection parked for longer is not tried: something between may have forgotten it, and a fresh
dial costs less than finding out (load balancers drop idle connections after 60 s by default)."""


class _Parked(NamedTuple):
    connection: Connection
    monotonic: float
    wall: float

    @property
    def idle(self) -> float:
        """Seconds since it was parked. A frozen environment's clocks may disagree: the longer."""
        return max(time.monotonic() - self.monotonic, time.time() - self.wall)


class IoThread:
    """A daemon thread running one event loop for the life of the process.

    Attributes:
        dialling: the last dial that was begun; touched on the thread only.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._before_start: deque[Callable[[], object]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._parked: _Parked | None = None
        self.dialling: asyncio.Task[None] | None = None
        self._sids = 0
        threading.Thread(target=self._run, name="dialback-io", daemon=True).start()

    def submit(self, job: Callable[[], object]) -> None:
        """Run `job` on the thread soon, after every job submitted before it. Callable anywhere."""
        loop = self._loop
        if loop is None:
            with self._lock:
                loop = self._loop
                if loop is None:
                    self._before_start.append(job)
                    return
        loop.call_soon_threadsafe(job)

    def next_sid(self) -> int:
        """Return a stream id that no connection of this process has used."""
        with self._lock:
            self._sids += 1
            return self._sids

    def park(self, connection: Connection) -> None:
        """Keep an open connection for the next invocation; an earlier one is closed."""
        with self._lock:
            before = self._parked
            self._parked = _Parked(connection, time.monotonic(), time.time())
        if before is not None:
            before.connection.abort()

    def take_parked(self) -> Connection | None:
        """Return the connection that waits, if there is one; it waits no more. Callable anywhere."""
        with self._lock:
            parked, self._parked = self._parked, None
        if parked is None:
            return None
        if parked.idle > IDLE_SECONDS or not parked.connection.untouched():
            self.submit(parked.connection.abort)
            return None
        return parked.connection

    def _run(self) -> None:
        import asyncio

        loop = asyncio.new_event_loop()
        with self._lock:
            while self._before_start:  # no name here may hold a job, and its exchange, for ever
                loop.call_soon(self._before_start.popleft())
            self._loop = loop
        loop.run_forever()


_thread: IoThread | None = None


def io_thread() -> IoThread:
    """Return this process's I/O thread, made on first use and again after a fork."""
    global _thread  # noqa: PLW0603 - one per process is the point
    if _thread is None or _thread.pid != os.getpid():
        _thread = IoThread()
    return _thread
