"""The one background thread on which every socket of this environment lives, and what waits there.

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

from lambda_client.clock import Ticker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from lambda_client.connection import Connection
    from lambda_client.dial import Dial, DialError


PARKED_MAX = 8
"""Connections that wait at a time, one for each address: a gateway of several workers has as many addresses,
and whoever invokes next is not known. More would hardly be used before they are too old."""


class _Parked(NamedTuple):
    connection: Connection
    monotonic: float
    wall: float


class Io:
    """Where jobs run and connections live; what one invocation leaves there for the next.

    A subclass says how a job is run. Everything but `submit`, `next_sid` and `take_parked` is called
    on the thread (or loop) of the jobs only.

    Attributes:
        wanted: who would take a connection that was dialled for somebody else.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.wanted: Callable[[Connection], None] | None = None
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._wall = wall
        self._sids = 0
        self._parked: dict[str, _Parked] = {}  # by address; the one that waits longest comes first
        self._stray: Dial | None = None
        self._ticker: Ticker | None = None

    @property
    def ticker(self) -> Ticker:
        """The one timer of the thread."""
        if self._ticker is None:
            import asyncio

            self._ticker = Ticker(asyncio.get_running_loop())
        return self._ticker

    def submit(self, job: Callable[[], object]) -> None:
        """Run `job` soon, after every job submitted before it. Callable anywhere."""
        raise NotImplementedError

    def next_sid(self) -> int:
        """Return a stream id that no connection of this process has used. Callable anywhere."""
        with self._lock:
            self._sids += 1
            return self._sids

    # ------------------------------------------------------------ connections between invocations

    def park(self, connection: Connection, then: Callable[[], None]) -> None:
        """Keep a connection for the next invocation.

        One that waits for the same address is closed, and beyond `PARKED_MAX` the one that waits longest.

        Args:
            connection: open, without a stream and without an owner.
            then: called once the kernel has what was said, so that the environment may freeze.
        """

        def flushed() -> None:
            if not connection.closed:
                self._keep(connection)
            then()

        connection.state.park()
        connection.send(())
        connection.when_flushed(flushed)

    def _keep(self, connection: Connection) -> None:
        with self._lock:
            waiting = self._parked
            replaced = waiting.pop(connection.url, None)
            if replaced is None and len(waiting) == PARKED_MAX:
                replaced = waiting.pop(next(iter(waiting)))
            waiting[connection.url] = _Parked(connection, self._monotonic(), self._wall())
        if replaced is not None:
            replaced.connection.abort()

    def take_parked(self, urls: tuple[str, ...], idle: float) -> Connection | None:
        """Return a connection that waits, if one may serve; it waits no more. Callable anywhere.

        Args:
            urls: the addresses of the gateway that is to be reached.
            idle: seconds after which something between may have forgotten a connection.
        """
        with self._lock:
            url = next((url for url in urls if url in self._parked), None)
            if url is None:
                return None
            parked = self._parked.pop(url)
        connection = parked.connection
        # A frozen environment's clocks may disagree about how long it was: the longer one counts.
        waited = max(self._monotonic() - parked.monotonic, self._wall() - parked.wall)
        # Half of its time may have passed on the gateway's clock before the freeze ended.
        longest = min(idle, connection.state.limits.park_ttl_ms / 2000)
        if waited > longest or not connection.untouched():
            self.submit(connection.abort)
            return None
        return connection

    def adopt(self, dial: Dial) -> None:
        """Care for a dial whose invocation was answered without it: the next one may need it."""
        if self._stray is not None:
            self._stray.drop()
        self._stray = dial
        dial.tell = self._on_stray

    def _on_stray(self, outcome: Connection | DialError) -> None:
        self._stray = None
        if isinstance(outcome, Exception) or outcome.closed:
            return
        if self.wanted is not None:
            self.wanted(outcome)
        else:
            self.park(outcome, lambda: None)


class IoThread(Io):
    """A daemon thread running one event loop for the life of the process."""

    def __init__(self) -> None:
        super().__init__()
        self.pid = os.getpid()
        self._before_start: deque[Callable[[], object]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        threading.Thread(target=self._run, name="dialback-io", daemon=True).start()

    def submit(self, job: Callable[[], object]) -> None:
        """Run `job` on the thread soon, after every job submitted before it."""
        loop = self._loop
        if loop is None:
            with self._lock:
                loop = self._loop
                if loop is None:
                    self._before_start.append(job)
                    return
        loop.call_soon_threadsafe(job)

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
