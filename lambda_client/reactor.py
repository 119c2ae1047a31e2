"""An event loop whose turns any thread may take, one thread at a time.

A thread of its own waits for sockets and timers, so that a stream lives on while user code computes. But
waking a thread costs more than most of what it would be woken for. So whoever has something to do does it
himself if nobody else has the turn just now (`hurry`), and whoever has to wait does the I/O while he waits
(`lead`). What nobody sees goes along with either (`linger`), and what comes while user code is about to wait
for it anyway the thread does not even hear (`look_away`): it makes its rounds, and looks after that then.

What asyncio's loops have too is named as there, and works as there: the same code runs on either.
"""

from __future__ import annotations

import heapq
import logging
import os
import select
import signal
import threading
import time
from _signal import getsignal  # type: ignore[import-not-found]  # a fifth of what `signal`'s costs
from collections import deque
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, NoReturn

from lambda_client.handles import Timer, Watches

if TYPE_CHECKING:
    from collections.abc import Callable

    Ready = list[tuple[int, int]]  # descriptors, and what epoll says of each

logger = logging.getLogger("dialback")

ROUND_SECONDS = 0.05
"""So long a job lingers at most, and what comes waits while nobody waits for it. One round serves dozens of
requests; no alarm is so short, and what is late by it (an ATTACH, a PING's answer, a CANCEL) nobody sees."""

ROUNDS = 4
"""So many rounds the thread makes after the last time that anybody relied on them. Who does nothing for longer is
frozen, as a rule: then it makes the next when it wakes, and nobody has to ring the bell."""

MOMENT = 0.005
"""So soon after a head most handlers have written something, or are done."""

HASTY = 100
"""So often what is held is done at once, after it had to wait for a round: it is late one time in so many."""

LEADER_SECONDS = 1.0
"""So often the thread looks whether somebody leads indeed while it hears no socket itself."""

SLEEP_MAX = 24 * 3600.0
"""So long the thread sleeps at most: poll(2) counts milliseconds, and takes 24 days of them."""

_NAMES = ("SIGALRM", "SIGVTALRM", "SIGPROF", "SIGHUP", "SIGUSR1", "SIGUSR2")
_EVENTS = 64  # told by one poll, more than there are sockets: for 1,023, as by default, it allocates 12 KiB
INTERRUPTING = tuple(int(getattr(signal, name)) for name in _NAMES)
"""Signals that user code has sent to itself: for a timeout, most of all. Their handlers raise anywhere in the main
thread, so that one does no I/O while one of them has a handler. After SIGINT and SIGTERM a process ends."""


class Reactor:
    """See above. Whatever it calls has the turn, and so is alone; it must not block.

    Everything but `give`, `hurry`, `alone`, `wake`, `linger`, `hold`, `lead`, `nudge`, `attend`, `release` and
    `call_soon_threadsafe` is called within a turn; of these `alone` and `lead` never are.

    Attributes:
        give: leaves a job, to be run after every one left before it. Then say when, by one of the next four.
            One call of C: it is done, or has not begun, whenever a signal's handler raises.
        call_soon: the same within a turn, as asyncio calls it.
        release: who was to `attend` does no more, whether or not he had begun to. One call of C, as above.
    """

    time = staticmethod(time.monotonic)

    def __init__(self, interrupted: Callable[[], object]) -> None:
        """Wait for nothing yet; `run` is for a thread of its own.

        Args:
            interrupted: called in the next turn after one that an exception from outside (Ctrl-C, no stack or
                no memory left) has broken off: anything may be half done, and is not done again.
        """
        self._turn = threading.Lock()
        self._turns = 0  # that have ended
        self._main = threading.main_thread().ident
        self._jobs: deque[Callable[[], object]] = deque()
        self.give: Callable[[Callable[[], object]], None] = self._jobs.append
        self.call_soon = self.give
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_numbers = count()
        self._interrupted = interrupted
        self._sockets = select.epoll()
        self._watches = Watches(self._sockets)
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._bell_rung = False
        self._doorstep = select.epoll()  # where the thread waits: for sockets, unless it is deaf
        self._doorstep.register(self._sockets.fileno(), select.EPOLLIN)
        self._doorstep.register(self._bell, select.EPOLLIN)
        self._bed = select.poll()  # unlike epoll it sleeps on when it was stopped (signal(7))
        self._bed.register(self._doorstep.fileno(), select.POLLIN)
        self._sleeps_until = 0.0
        self._rounds = 0  # that the thread has still to make
        self._held = 0.0  # since when something is
        self._hasty = 0
        self._deaf = False  # no socket wakes it: somebody leads, or will
        self._attending: set[object] = set()
        self.release: Callable[[object], None] = self._attending.discard
        self._leader: int | None = None
        self._thread: int | None = None
        self._elbow = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._sockets.register(self._elbow, select.EPOLLIN)

    # ------------------------------------------------------------ jobs, from any thread

    def hurry(self) -> None:
        """Do what was left now; whoever has the turn does it otherwise, before he gives it back."""
        if not self._jobs or self._turn.locked():
            return
        if not self._may_be_interrupted():
            with self._turn:
                self._run_turn()
        # Somebody may just have found the turn taken; and what has come meanwhile need not keep this thread.
        if self._jobs:
            self.wake()

    def alone(self, job: Callable[[], bool]) -> bool | None:
        """Do a job now, and what else was left, and return what it says; None if this thread may be interrupted."""
        if self._may_be_interrupted():
            return None
        said: list[bool] = []
        with self._turn:
            self._jobs.appendleft(lambda: said.append(job()))
            self._run_turn()
        if self._jobs:
            self.wake()
        return any(said)

    def wake(self) -> None:
        """Have the thread do what was left."""
        if not self._bell_rung:
            self._bell_rung = True
            os.eventfd_write(self._bell, 1)

    def linger(self) -> None:
        """Let what was left go along with what is done next, or be done within `ROUND_SECONDS`."""
        self._rounds = ROUNDS
        if not self._comes_round:
            self.wake()

    def hold(self) -> None:
        """Let what was left go along with what is left in a moment; where nothing was lately, do it now."""
        if self._hasty:
            self._hasty -= 1
            self.hurry()
        else:
            self._held = self.time()
            self.linger()

    def call_soon_threadsafe(self, job: Callable[[], object]) -> None:
        """Have the thread run `job`, after every job left before it."""
        self._jobs.append(job)
        self.wake()

    # ------------------------------------------------------------ the thread

    def run(self) -> NoReturn:
        """Be the thread that is always there."""
        self._thread = threading.get_ident()
        while True:
            try:
                woken = self._sleep()
                with self._turn:
                    self._bell_rung = False
                    if not woken:
                        self._go_round()
                    # Heard or not: no alarm rings before it is known what has come.
                    self._run_turn(sockets=self._leader is None, timers=True)
            except (RecursionError, MemoryError):
                with suppress(RecursionError, MemoryError):
                    logger.exception("out of memory, or of stack")
                time.sleep(MOMENT)  # somebody else may give some back

    def _may_be_interrupted(self) -> bool:
        """Whether an exception may be raised at any point of what this thread does."""
        main = threading.get_ident() == self._main
        return main and any(map(callable, map(getsignal, INTERRUPTING)))

    def _sleep(self) -> bool:
        """Sleep until something happens, or a timer or a round is due; return whether something has."""
        if not self._bed.poll(self._doze() * 1000):
            return False
        if self._bell in dict(self._doorstep.poll(0, 2)):
            os.eventfd_read(self._bell)
        return True

    def _doze(self) -> float:
        """Return how many seconds the thread may sleep, unless it is woken."""
        with self._turn:
            timers = self._timers
            while timers and timers[0][2].job is None:
                heapq.heappop(timers)
            longest = SLEEP_MAX
            if self._rounds or (self._deaf and self._leader is None):
                longest = ROUND_SECONDS
            elif self._deaf:
                longest = LEADER_SECONDS
            until = self.time() + longest
            self._sleeps_until = until = min(until, timers[0][0]) if timers else until
        # Looked at after that was said, and after the turn was given back: so `linger` wakes, and `hurry` finds
        # nobody at it, or the job is seen.
        return 0.0 if self._jobs else max(0.0, until - self.time())

    @property
    def _comes_round(self) -> bool:
        """Whether the thread looks soon anyway."""
        return self._bell_rung or self._sleeps_until <= self.time() + ROUND_SECONDS

    def _go_round(self) -> None:
        """Look after what others have left to the thread, before all else in this turn of its own."""
        self._rounds = max(0, self._rounds - 1)
        self._listen()
        if self._held and self._held + MOMENT < self.time():
            self._hasty = HASTY

    def _listen(self) -> None:
        """Let sockets wake the thread, unless somebody leads."""
        if self._deaf and self._leader is None:
            self._doorstep.modify(self._sockets.fileno(), select.EPOLLIN)
            self._deaf = False

    def _deafen(self) -> None:
        if not self._deaf:
            # First: whatever breaks this off, somebody will see that it hears again.
            self._deaf = True
            self._doorstep.modify(self._sockets.fileno(), 0)
        # Asked last: who attends from now on finds it deaf.
        if self._attending or self._watches.writers:
            self._listen()

    # ------------------------------------------------------------ a thread that waits

    def lead(self, done: Callable[[], bool]) -> bool:
        """Do the I/O on this thread until `done()`; the other one sleeps meanwhile, but for timers.

        Whoever brings `done` about on another thread calls `nudge`.

        Returns:
            False at once when another thread leads already, or this one may be interrupted.
        """
        me = threading.get_ident()
        if self._leader == me:  # a signal's handler waits, in the middle of a wait
            self._lead(done)
            return True
        if self._may_be_interrupted():
            return False
        try:
            with self._turn:
                if self._leader is None:
                    self._leader = me
            if self._jobs:
                self.hurry()  # somebody may just have found the turn taken
            if self._leader != me:
                return False
            if not done():
                self._deafen()
                self._lead(done)
        finally:
            if self._leader == me:
                self._leader = None
                self._rest()
        return True

    def _rest(self) -> None:
        """Nobody leads any more. Whoever did may be back before the thread has missed anything."""
        with self._turn:
            if self._attending or self._watches.writers or not self._comes_round:
                self._listen()
        if self._jobs:
            self.hurry()

    def _lead(self, done: Callable[[], bool]) -> None:
        while not done():
            turns, ready = self._turns, self._sockets.poll(-1, _EVENTS)
            with self._turn:
                # In a turn in between it may have been closed, and its number be another socket's.
                self._run_turn(sockets=True, ready=ready if self._turns == turns else None)
            if self._jobs:
                self.hurry()

    def nudge(self) -> None:
        """Have whoever leads look whether it is done."""
        if self._leader not in (None, threading.get_ident()):
            os.eventfd_write(self._elbow, 1)

    def attend(self, who: object) -> None:
        """Have the thread hear at once what comes, until `release`: `who` waits for it, and does not lead."""
        self._attending.add(who)
        if self._deaf:
            self.give(self._listen)
        self.hurry()

    def look_away(self) -> None:
        """Do not wake the thread for what comes before its next round. Within a turn."""
        if self._comes_round and threading.get_ident() != self._thread:
            self._deafen()

    def forsake(self) -> None:
        """Do nothing any more: this is the copy that a fork has made, and the sockets are another process's."""
        self._turn = threading.Lock()
        self._turn.acquire()  # for good
        self._bell_rung = True
        for fd in (self._elbow, self._bell):
            os.close(fd)
        self._sockets.close()
        self._doorstep.close()
        self._jobs.clear()

    # ------------------------------------------------------------ what asyncio's loops have too

    def call_later(self, seconds: float, job: Callable[[], object]) -> Timer:
        """Run `job` in so many seconds."""
        return self.call_at(self.time() + seconds, job)

    def call_at(self, when: float, job: Callable[[], object]) -> Timer:
        """Run `job` at `when`, on the thread of the reactor."""
        timer = Timer(job)
        heapq.heappush(self._timers, (when, next(self._timer_numbers), timer))
        if when < self._sleeps_until:
            self.wake()
        return timer

    def add_reader(self, fd: int, job: Callable[[], object]) -> None:
        """Run `job` whenever a descriptor is readable, or has failed."""
        self._watches.add(fd, reader=job)

    def add_writer(self, fd: int, job: Callable[[], object]) -> None:
        """Run `job` whenever a descriptor is writable, or has failed."""
        self._watches.add(fd, writer=job)
        self._listen()  # who has more to send than the kernel takes may not come back to see it

    def remove_reader(self, fd: int) -> None:
        """Care no more whether it is readable."""
        self._watches.remove(fd, "reader")

    def remove_writer(self, fd: int) -> None:
        """Care no more whether it is writable."""
        self._watches.remove(fd, "writer")

    # ------------------------------------------------------------ inside a turn

    def _run_turn(
        self, *, sockets: bool = False, ready: Ready | None = None, timers: bool = False
    ) -> None:
        jobs = self._jobs
        try:
            if sockets:
                self._serve_sockets(ready)
            if timers:
                self._ring_timers()
            # What these leave waits for the next turn, as in asyncio: sockets and timers come first.
            for _ in range(len(jobs)):
                self._do(jobs.popleft())
            self._held = 0.0
        except BaseException:
            jobs.appendleft(self._interrupted)
            self.wake()
            raise
        finally:
            self._turns += 1

    def _do(self, job: Callable[[], object]) -> None:
        try:
            job()
        except (RecursionError, MemoryError):  # where user code is deep, nothing is wrong here
            raise
        except Exception:
            logger.exception("a bug of dialback's, please report it")

    def _serve_sockets(self, ready: Ready | None) -> None:
        for fd, events in self._sockets.poll(0, _EVENTS) if ready is None else ready:
            if fd == self._elbow:
                with suppress(BlockingIOError):
                    os.eventfd_read(fd)
                continue
            watch = self._watches.get(fd)
            if watch is not None and watch.writer is not None and events & ~select.EPOLLIN:
                self._do(watch.writer)
            # The writer may have closed it.
            if watch is not None and watch.reader is not None and events & ~select.EPOLLOUT:
                self._do(watch.reader)

    def _ring_timers(self) -> None:
        now, timers = self.time(), self._timers
        while timers and timers[0][0] <= now:
            _, _, timer = heapq.heappop(timers)
            job, timer.job = timer.job, None
            if job is not None:
                self._do(job)
