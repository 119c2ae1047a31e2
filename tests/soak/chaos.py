"""The faults of a soak: every second some, at random, aimed at streams that run."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from tests.faults.kinds import CLOSE, DOWN, HALF_OPEN, PAUSE, RESET, UP

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection

    from tests.faults.kinds import Fault
    from tests.faults.link import Link
    from tests.soak.attaches import ResumeWatch
    from tests.soak.report import Report
    from tests.soak.streams import Stream, Streams
    from tests.soak.world import World

FEWEST, STREAMS_PER_FAULT = 2, 10
"""Faults a second at least, and streams for each more: four faults a second among forty."""

FREEZE_SECONDS = (1.0, 4.0)
PAUSE_SECONDS = (0.2, 3.0)
DELAY_SECONDS = (0.02, 0.3)

WEIGHTS = {
    "cut": 6,
    "reset": 6,
    "delayed": 3,
    "paused": 3,
    "frozen": 3,
    "left": 3,
    "killed": 2,
    "half-open": 1,
    "all reset at once": 0.2,
}
"""How often each kind comes. Half-open ones cost 20 s of silence each, so they are few."""


class Chaos:
    """Injects faults until it is told to stop; counts those that took place."""

    def __init__(
        self,
        world: World,
        streams: Streams,
        watch: ResumeWatch,
        report: Report,
        chance: random.Random,
        without: Collection[str] = (),
    ) -> None:
        """Take what there is to break; kinds in `without` are left out."""
        self._world = world
        self._streams = streams
        self._watch = watch
        self._report = report
        self._chance = chance
        self._later: set[asyncio.Task[None]] = set()
        self._kinds: dict[str, Callable[[], bool]] = {
            "cut": lambda: self._break(CLOSE),
            "reset": lambda: self._break(RESET),
            "half-open": lambda: self._break(HALF_OPEN),
            "delayed": self._delay,
            "paused": self._pause,
            "frozen": self._freeze,
            "killed": self._kill,
            "left": self._leave,
            "all reset at once": self._break_all,
        }
        for kind in without:
            del self._kinds[kind]
        self._owed = list(self._kinds)
        chance.shuffle(self._owed)

    @property
    def owes(self) -> bool:
        """Whether a kind of fault has not struck yet."""
        return bool(self._owed)

    async def keep_going(self, wanted: Callable[[], bool], streams: int) -> None:
        """Break something every second, and at the end mend what only time would mend."""
        while wanted():
            for _ in range(max(FEWEST, streams // STREAMS_PER_FAULT)):
                kind = self._next_kind()
                if self._kinds[kind]():
                    self._report.faults[kind] += 1
                    self._owed = [one for one in self._owed if one != kind]
            await asyncio.sleep(1)
        await asyncio.gather(*self._later)

    def _next_kind(self) -> str:
        """Each once, as soon as there is something that fits; then by weight."""
        if self._owed:
            self._owed.append(self._owed.pop(0))
            return self._owed[-1]
        names = list(self._kinds)
        return self._chance.choices(names, [WEIGHTS[name] for name in names])[0]

    # ------------------------------------------------------------ what is broken

    def _break(self, fault: Fault) -> bool:
        aim = self._aim()
        if aim is None:
            return False
        stream, link = aim
        link.strike(fault)
        if fault is not HALF_OPEN and not stream.frozen:
            self._watch.cut(stream.exchange)
        return True

    def _break_all(self) -> bool:
        self._world.proxy.strike(RESET)
        return True

    def _delay(self) -> bool:
        aim = self._aim()
        if aim is None:
            return False
        aim[1].delay(self._chance.uniform(*DELAY_SECONDS))
        self._after(PAUSE_SECONDS, lambda: aim[1].delay(0.0))
        return True

    def _pause(self) -> bool:
        aim, direction = self._aim(), self._chance.choice([UP, DOWN])
        if aim is None:
            return False
        aim[1].strike(PAUSE, direction)
        self._after(PAUSE_SECONDS, lambda: aim[1].resume(direction))
        return True

    def _freeze(self) -> bool:
        victim = self._victim(lambda stream: True)
        if victim is None or not self._signal(victim.worker, signal.SIGSTOP):
            return False
        pid, victim.frozen = victim.worker, True
        self._watch.forget(victim.exchange)

        def thaw() -> None:
            self._signal(pid, signal.SIGCONT)
            victim.frozen = False

        self._after(FREEZE_SECONDS, thaw)
        return True

    def _kill(self) -> bool:
        victim = self._victim(lambda stream: stream.far_from_its_end)
        if victim is None or not self._signal(victim.worker, signal.SIGKILL):
            return False
        victim.killed = True
        return True

    def _leave(self) -> bool:
        victim = self._victim(lambda stream: not stream.is_nearly_here)
        if victim is None:
            return False
        victim.leave()
        return True

    # ------------------------------------------------------------ aiming

    def _victim(self, fits: Callable[[Stream], bool]) -> Stream | None:
        """A stream whose function is known, and that nothing has ended yet."""
        running = [
            stream
            for stream in self._streams.running
            if stream.worker and not stream.killed and not stream.left and fits(stream)
        ]
        running.sort(key=lambda stream: stream.content.seed)  # a set has no order of its own
        return self._chance.choice(running) if running else None

    def _aim(self) -> tuple[Stream, Link] | None:
        """A stream, and the connection that its function has open."""
        stream = self._victim(lambda stream: True)
        if stream is None:
            return None
        ports = _ports(stream.worker)
        links = [link for link in self._world.proxy.open_connections if link.port in ports]
        return (stream, links[-1]) if links else None

    def _signal(self, pid: int, number: signal.Signals) -> bool:
        """Send a signal to a function's process, if it is still one."""
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if psutil.Process(pid).ppid() == self._world.dialback.pid:
                os.kill(pid, number)
                return True
        return False

    def _after(self, seconds: tuple[float, float], then: Callable[[], object]) -> None:
        async def wait() -> None:
            await asyncio.sleep(self._chance.uniform(*seconds))
            then()

        task = asyncio.create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)


def _ports(pid: int) -> set[int]:
    """The local TCP ports of a process."""
    try:
        connections = psutil.Process(pid).net_connections("tcp4")
    except psutil.NoSuchProcess:
        return set()
    return {one.laddr.port for one in connections}
