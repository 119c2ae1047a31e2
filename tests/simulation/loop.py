"""Virtual time: event loops that share one clock, which jumps to the next timer when nothing is ready.

Each machine of a simulation has a loop of its own (the gateway, the clients, each environment with its
I/O thread and its user code), and a `Scheduler` steps them in one real thread: which of the loops that
have something to do goes next is a choice of the seed. A frozen loop is not stepped; its timers are late
when it thaws. Time costs nothing, so a simulated hour takes as long as what happens in it.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import os
import random
import secrets
import select
import selectors
import sys
import time
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

from typing_extensions import override

import lambda_client.chance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from tests.simulation.network import Network
    from tests.simulation.shadow import SocketView

    Patch: TypeAlias = tuple[Any, str, Any]

START = 1_000_000.0
"""Virtual seconds at which every simulation begins: no clock of a real machine begins at 0."""

STEPS_AT_ONE_INSTANT = 200_000
"""More of them and something goes round in a circle: a whole simulation has some ten thousand."""

EPOCH = 1_700_000_000.0
"""What `time.time()` says at virtual time 0."""


FIRST_DESCRIPTOR = 1_000_000
"""Simulated sockets count from here on: far above what a kernel would give."""


class DeadlockError(Exception):
    """Nothing is ready, no timer is left, and what was waited for has not happened."""


class LivelockError(Exception):
    """Time stands still, although something happens all the time."""


class OutOfTimeError(Exception):
    """What was waited for has not happened in time."""


class Descriptor(Protocol):
    """A simulated socket, as the selector sees it.

    Attributes:
        view: what asks the kernel about it.
    """

    view: SocketView

    def fileno(self) -> int:
        """Return a number that no real descriptor has."""
        ...

    def readiness(self) -> int:
        """Return which of `EVENT_READ` and `EVENT_WRITE` it is ready for."""
        ...


class _Selector(selectors.BaseSelector):
    """Level triggered, as epoll, over simulated sockets; time is the scheduler's business.

    Only descriptors that someone poked are looked at, and those that were ready the last time.
    Real ones (`gateway.edge.hangup` has one) are told from simulated ones by their small number.
    """

    def __init__(self) -> None:
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._sockets: dict[int, Descriptor] = {}
        self._hot: dict[int, None] = {}

    def adopt(self, socket: Descriptor) -> None:
        self._sockets[socket.fileno()] = socket

    def abandon(self) -> None:
        for one in self._sockets.values():
            one.view.close()

    def poke(self, fd: int) -> None:
        self._hot[fd] = None

    def poke_real(self) -> None:
        self._hot.update(dict.fromkeys(fd for fd in self._keys if fd < FIRST_DESCRIPTOR))

    @override
    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, fileobj, events, data)
        self._hot[fileobj] = None
        return key

    @override
    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self.register(fileobj, events, data)

    @override
    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    @override
    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[fileobj]

    @override
    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return self._keys

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = []
        for fd in list(self._hot):
            events = self._ready_for(fd)
            if events:
                found.append((self._keys[fd], events))
            else:
                del self._hot[fd]
        return found

    @property
    def ready(self) -> bool:
        return bool(self._hot) and any(self._ready_for(fd) for fd in self._hot)

    def _ready_for(self, fd: int) -> int:
        key = self._keys.get(fd)
        if key is None:
            return 0
        if fd < FIRST_DESCRIPTOR:
            return selectors.EVENT_READ if select.select([fd], [], [], 0)[0] else 0
        return key.events & self._sockets[fd].readiness()


class VirtualLoop(asyncio.SelectorEventLoop):
    """One machine's event loop; its transports are asyncio's own, on simulated sockets.

    Attributes:
        name: for the trace.
        frozen: it is not stepped.
        network: what its connections go through.
        sockets: the selector.
    """

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self._scheduler = scheduler
        self.sockets = _Selector()
        super().__init__(self.sockets)
        self.name = name
        self.frozen = False
        self.network: Network | None = None
        self.set_exception_handler(self._on_exception)

    # ------------------------------------------------------------ what asyncio asks of a loop

    @override
    def time(self) -> float:
        return self._scheduler.now

    def _make_self_pipe(self) -> None:
        """Nobody has to wake a loop that a scheduler steps."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """The scheduler looks by itself."""

    @override
    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, **_: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        assert self.network is not None
        return await self.network.connect(self, (host, port), protocol_factory)

    # ------------------------------------------------------------ what the scheduler asks

    def next_timer(self) -> float | None:
        """When the next timer is due; None: there is none."""
        timers = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
            heapq.heappop(timers)._scheduled = False
        return timers[0]._when if timers else None

    @property
    def ready(self) -> bool:
        """Whether a step would run something."""
        if self._ready or self.sockets.ready:  # type: ignore[attr-defined]
            return True
        due = self.next_timer()
        return due is not None and due <= self._scheduler.now

    def step(self) -> None:
        """Run what is ready now, once."""
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(
            firstiter=self._asyncgen_firstiter_hook,  # type: ignore[attr-defined]
            finalizer=self._asyncgen_finalizer_hook,  # type: ignore[attr-defined]
        )
        try:
            self._run_once()  # type: ignore[attr-defined]
        finally:
            asyncio._set_running_loop(None)

    def take_turn(self) -> None:
        """Run the jobs that wait, in the midst of another loop's step: as a thread that finds the turn free."""
        stepping = asyncio._get_running_loop()
        if self.frozen or stepping is self:
            return
        jobs = self._ready  # type: ignore[attr-defined]
        asyncio._set_running_loop(self)
        try:
            for _ in range(len(jobs)):
                job = jobs.popleft()
                if not job.cancelled():
                    job._run()
        finally:
            asyncio._set_running_loop(stepping)

    def connections(self) -> list[str]:
        """Describe the transports that are not closed."""
        transports = self._transports.values()  # type: ignore[attr-defined]
        return [repr(one) for one in transports if one._sock is not None]

    def abandon(self) -> None:
        """End every task and transport as a machine ends that is switched off: without a word."""
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with suppress(RuntimeError):  # user code that will not hear of its end
                task.get_coro().close()
        for transport in list(self._transports.values()):  # type: ignore[attr-defined]
            transport._sock = None
        self.sockets.abandon()

    def left_over(self) -> list[str]:
        """Describe the tasks and timers that are still there."""
        tasks = [repr(task) for task in asyncio.all_tasks(self)]
        timers = [repr(one) for one in self._scheduled if not one._cancelled]  # type: ignore[attr-defined]
        return tasks + timers

    def _on_exception(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._scheduler.problems.append(f"{self.name}: {context['message']}: {error!r}")


class Scheduler:
    """Steps the loops of one simulation.

    Attributes:
        now: virtual seconds.
        steps: how many were made.
        problems: what no callback may do: exceptions that nobody took.
        trace: what happened: (time, who, what).
    """

    def __init__(self, chance: random.Random) -> None:
        self.now = START
        self.steps = 0
        self.problems: list[str] = []
        self.trace: list[tuple[float, str, str]] = []
        self._chance = chance
        self._loops: list[VirtualLoop] = []

    def loop(self, name: str) -> VirtualLoop:
        """Make a loop; `close` ends it."""
        made = VirtualLoop(self, name)
        self._loops.append(made)
        return made

    def note(self, who: str, what: str) -> None:
        """Write a line of the trace."""
        self.trace.append((self.now - START, who, what))

    def run(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Step until `done()`.

        Raises:
            OutOfTimeError: it is not after so many virtual seconds.
            DeadlockError: it never will be.
            LivelockError: it never will be, but time stands still.
        """
        limit, still = self.now + seconds, 0
        while not done():
            ready = [loop for loop in self._loops if not loop.frozen and loop.ready]
            if ready:
                self.steps += 1
                still += 1
                if still > STEPS_AT_ONE_INSTANT:
                    raise LivelockError(f"{what}: {[loop.name for loop in ready]}")
                (ready[0] if len(ready) == 1 else self._chance.choice(ready)).step()
                continue
            still = 0
            self._advance(limit, what)

    def rest(self, seconds: float) -> None:
        """Let so much virtual time pass, whatever happens in it."""
        limit = self.now + seconds
        try:
            self.run(lambda: False, seconds, "rest")
        except (OutOfTimeError, DeadlockError):
            self.now = max(self.now, limit)

    def _advance(self, limit: float, what: str) -> None:
        timers = [loop.next_timer() for loop in self._loops if not loop.frozen]
        due = min((one for one in timers if one is not None), default=None)
        if due is None:
            raise DeadlockError(f"{what}: nothing is ready, and no timer is left")
        if due > limit:
            raise OutOfTimeError(f"{what}: not after {limit - START:g} s")
        self.now = max(self.now, due)

    def close(self) -> None:
        """End every loop."""
        for loop in self._loops:
            loop.abandon()
        for loop in self._loops:
            loop.close()


# ---------------------------------------------------------------- the world's clock and dice


@contextmanager
def virtual(scheduler: Scheduler, chance: random.Random) -> Iterator[None]:
    """Within the block, every clock is the scheduler's and every die is thrown by `chance`.

    Modules that took a clock by name are patched as well, and none is imported inside. No collection of
    garbage happens inside: when it comes would be nobody's choice. Other threads, which other tests may have left
    in this process, have the real ones.
    """
    import_module("lambda_client.pump")  # a session brings it along only when it begins
    patches = [*_clocks(scheduler), *_dice(chance)]
    real = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    before, hooks = random.getstate(), sys.get_asyncgen_hooks()
    for owner, name, ours in patches:
        setattr(owner, name, ours)
    random.seed(chance.random())
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        random.setstate(before)
        sys.set_asyncgen_hooks(*hooks)
        for owner, name, theirs in real:
            setattr(owner, name, theirs)


def _clocks(scheduler: Scheduler) -> Iterator[Patch]:
    monotonic, wall = time.monotonic, time.time
    ours = {
        monotonic: _for_this_thread(lambda: scheduler.now, monotonic),
        wall: _for_this_thread(lambda: scheduler.now + EPOCH, wall),
    }
    for module in (time, *_rooms()):
        for name, value in vars(module).items():
            if value is monotonic or value is wall:
                yield module, name, ours[value]


def _dice(chance: random.Random) -> Iterator[Patch]:
    def token(nbytes: int | None = None) -> bytes:
        return chance.randbytes(nbytes or 32)

    yield os, "urandom", _for_this_thread(chance.randbytes, os.urandom)
    yield secrets, "token_bytes", _for_this_thread(token, secrets.token_bytes)
    yield secrets, "token_hex", _for_this_thread(lambda *n: token(*n).hex(), secrets.token_hex)
    yield lambda_client.chance, "source", chance


def _for_this_thread(ours: Callable[..., Any], others: Callable[..., Any]) -> Callable[..., Any]:
    this = get_ident()
    return lambda *args: ours(*args) if get_ident() == this else others(*args)


def _rooms() -> list[Any]:
    rooms = ("gateway", "lambda_client", "protocol")
    return [module for name, module in sys.modules.items() if name.partition(".")[0] in rooms]
