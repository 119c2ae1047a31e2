"""Where every socket of this environment lives, and what waits there from one invocation to the next.

It is made when the first exchange needs a socket, never at import: a process that forks afterwards
(or an image restored by SnapStart) would otherwise inherit a dead thread and a shared epoll set.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol
from weakref import WeakSet

from lambda_client.clock import Ticker
from lambda_client.reactor import Reactor
from lambda_client.running import running_session

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lambda_client.connection import Connection
    from lambda_client.dial import Dial, DialError
    from lambda_client.event_loop import Handle, Loop
    from lambda_client.waiting import Gate


logger = logging.getLogger("dialback")

PARKED_MAX = 8
"""Connections that wait at a time, one for each address: a gateway of several workers has as many addresses,
and whoever invokes next is not known. More would hardly be used before they are too old."""


class Holder(Protocol):
    """Whoever has a socket, from its first SYN on."""

    def abort(self) -> None:
        """Close it, and tell its user."""
        ...

    def forsake(self) -> None:
        """Close this process's copy, and touch nothing else: a fork's parent goes on with it."""
        ...


class _Parked(NamedTuple):
    connection: Connection
    monotonic: float
    wall: float


class Io:
    """Where jobs run and connections live; what one invocation leaves there for the next.

    Everything but `give`, `hurry`, `wake`, `linger`, `hold`, `block`, `nudge`, `attend`, `release`, `alone`, `next_sid`
    and `take_parked` is called by jobs only.

    Attributes:
        loop: what runs the jobs.
        ticker: the one timer for all alarms.
        live: who has a socket.
        next_sid: returns a stream id that no connection of this process has used.
        wanted: who would take a connection that was dialled for somebody else.
    """

    def __init__(
        self,
        loop: Loop,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.loop = loop
        self.ticker = Ticker(loop)
        self.live: WeakSet[Holder] = WeakSet()
        self.wanted: Callable[[Connection], None] | None = None
        self.next_sid: Callable[[], int] = count(1).__next__
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._wall = wall
        self._parked: dict[str, _Parked] = {}  # by address; the one that waits longest comes first
        self._stray: Dial | None = None

    # ------------------------------------------------------------ jobs, from anywhere

    def give(self, job: Callable[[], object]) -> None:
        """Leave a job, to be run after every one left before it. Then say when, by one of the next four."""
        self.loop.call_soon_threadsafe(job)

    def hurry(self) -> None:
        """What was left is to be done now: by this thread, if nobody else is at it."""

    def wake(self) -> None:
        """What was left is to be done soon, but not by this thread."""

    def linger(self) -> None:
        """What was left may go along with what is done next: nobody sees when it is done."""

    def hold(self) -> None:
        """What was left may go along with what is done next, if that comes in a moment."""

    def submit(self, job: Callable[[], object]) -> None:
        """Leave a job that somebody else is to do soon."""
        self.give(job)
        self.wake()

    def block(self, gate: Gate) -> None:
        """Wait until somebody opens a gate."""
        gate.wait()

    def nudge(self) -> None:
        """A gate was opened."""

    def attend(self, who: object) -> None:
        """Somebody waits, and does no I/O meanwhile: until `release`."""

    def release(self, who: object) -> None:
        """Who was to `attend` waits no more, whether or not he had begun to."""

    def look_away(self) -> None:
        """The job that runs is about to ask something; user code will wait for the answer soon."""

    def connect(
        self,
        host: str,
        port: int,
        seconds: float,
        tell: Callable[[socket.socket | Exception], object],
    ) -> Handle:
        """Open a TCP connection (see `address.Connecting`)."""
        from lambda_client.address import Connecting  # with the first dial

        made = Connecting(self.loop, host, port, seconds, tell)
        self.live.add(made)
        return made

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
        if connection.state.has_frames:
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

    def alone(self, job: Callable[[], bool]) -> bool | None:
        """Do a job now, on this thread, and return what it says; None if it must not."""
        return job()

    def take_parked(
        self, urls: tuple[str, ...], idle: float, *, within_turn: bool
    ) -> Connection | None:
        """Return a connection that waits, if one may serve; it waits no more. Callable anywhere.

        Args:
            urls: the addresses of the gateway that is to be reached.
            idle: seconds after which something between may have forgotten a connection.
            within_turn: who asks has the turn.
        """
        parked: _Parked | None = None
        try:
            with self._lock:
                for url in urls:
                    if (parked := self._parked.get(url)) is not None:
                        del self._parked[url]
                        break
                else:
                    return None
            good = self._is_good(parked, idle, within_turn=within_turn)
        except BaseException:  # a signal's handler raised
            if parked is not None:
                self.submit(parked.connection.abort)
            raise
        connection = parked.connection
        if good is None:
            with self._lock:  # unless another has come to wait there meanwhile
                good = None if self._parked.setdefault(connection.url, parked) is parked else False
        if good is False:
            self.submit(connection.abort)
        return connection if good else None

    def _is_good(self, parked: _Parked, idle: float, *, within_turn: bool) -> bool | None:
        """Whether a connection that waited may serve; None if that is not to be found out here."""
        connection = parked.connection
        # A frozen environment's clocks may disagree about how long it was: the longer one counts.
        ticked = self._monotonic() - parked.monotonic
        waited = max(ticked, self._wall() - parked.wall)
        # Half of its time may have passed on the gateway's clock before the freeze ended.
        longest = min(idle, connection.state.limits.park_ttl_ms / 2000)
        if waited > longest:
            return False
        connection.state.slept(waited - ticked)
        if connection.untouched():
            return True
        return connection.catch_up() if within_turn else self.alone(connection.catch_up)

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
    """A reactor, and its daemon thread for the life of the process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._reactor = reactor = Reactor(self._interrupted)
        super().__init__(reactor)
        self.give = reactor.give  # type: ignore[method-assign,assignment]  # a call less on the way of each chunk
        self.hurry = reactor.hurry  # type: ignore[method-assign]
        self.wake = reactor.wake  # type: ignore[method-assign]
        self.linger = reactor.linger  # type: ignore[method-assign]
        self.hold = reactor.hold  # type: ignore[method-assign]
        self.nudge = reactor.nudge  # type: ignore[method-assign]
        self.attend = reactor.attend  # type: ignore[method-assign]
        self.release = reactor.release  # type: ignore[method-assign,assignment]
        self.alone = reactor.alone  # type: ignore[method-assign]
        self.look_away = reactor.look_away  # type: ignore[method-assign]
        threading.Thread(target=reactor.run, name="dialback-io", daemon=True).start()

    def block(self, gate: Gate) -> None:
        """Wait until somebody opens a gate, doing what there is to be done meanwhile."""
        if self._reactor.lead(partial(getattr, gate, "opened")):
            return
        try:  # a signal's handler may raise in the midst of `attend`
            self.attend(gate)
            gate.wait()
        finally:
            self.release(gate)

    def forsake(self) -> None:
        """This process is a fork of the one whose thread it is: leave to that one what is its own."""
        self._reactor.forsake()
        for holder in tuple(self.live):
            holder.forsake()

    def _interrupted(self) -> None:
        """An exception has broken off what somebody was doing here.

        Anything may be half done, so nothing of it is used any more: what may have a hole is nobody's response.
        """
        ends = [holder.abort for holder in tuple(self.live)]
        if (session := running_session()) is not None:
            ends.append(session.interrupted)
        for end in ends:
            try:
                end()
            except (RecursionError, MemoryError):  # it is all done again
                raise
            except Exception:
                logger.exception("what was broken off could not be ended as it should")


_thread: IoThread | None = None


def io_thread() -> IoThread:
    """Return this process's I/O thread, made on first use and again after a fork."""
    global _thread  # noqa: PLW0603 - one per process is the point
    if _thread is None or _thread.pid != os.getpid():
        _thread = IoThread()
    return _thread


def _after_fork() -> None:
    """The child has no thread, but every socket: not a byte may come from here, and none be taken."""
    if _thread is not None:
        _thread.forsake()
    session = running_session()
    if session is not None:
        session.forsake()


os.register_at_fork(after_in_child=_after_fork)
