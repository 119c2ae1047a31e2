"""Alarms that count awake time: a process that was frozen or stopped finds them wound up anew.

An alarm that rings much too late says that nothing ran meanwhile. What it waited for may well have
come: so every alarm of its clock is set again to its full length, and nobody is given up unheard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Clock:
    """The alarms of one session, on the I/O thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, late: float, thawed: Callable[[], None]
    ) -> None:
        """Start with no alarm.

        Args:
            loop: its time is the time.
            late: seconds too late that mean a freeze.
            thawed: called after a freeze, once all alarms are set again.
        """
        self.loop = loop
        self._late = late
        self._thawed = thawed
        self._alarms: list[Alarm] = []

    def now(self) -> float:
        """Return the seconds of the loop's clock."""
        return self.loop.time()

    def alarm(self, then: Callable[[], None], *, awake: bool = True) -> Alarm:
        """Return a new alarm that calls `then` when it rings.

        Args:
            then: what happens.
            awake: count awake time; False for what somebody else's clock brings about.
        """
        alarm = Alarm(self, then, awake=awake)
        self._alarms.append(alarm)
        return alarm

    def slept(self, alarm: Alarm) -> bool:
        """Tell whether an alarm should have rung long ago, had anything run."""
        overdue = alarm.when is not None and self.now() - alarm.when > self._late
        return overdue and alarm.awake

    def thaw(self) -> None:
        """Set every alarm again: nothing that they wait for could come while nothing ran."""
        for alarm in self._alarms:
            if alarm.awake and alarm.when is not None:
                alarm.restart()
        self._thawed()

    def stop(self) -> None:
        """Let nothing ring any more."""
        for alarm in self._alarms:
            alarm.clear()


class Alarm:
    """One thing that happens unless something else comes before.

    Attributes:
        then: what happens.
        awake: whether it is set anew after a freeze.
        when: the time it is set to; None while it is not set.
    """

    def __init__(self, clock: Clock, then: Callable[[], None], *, awake: bool) -> None:
        self.then = then
        self.awake = awake
        self.when: float | None = None
        self._clock = clock
        self._length = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Ring in so many seconds, instead of whenever it was set to."""
        slept = self._clock.slept(self)
        self._length = max(0.0, seconds)
        self.restart()
        if slept:  # whoever sets it came before the alarm itself, on the first turn after a freeze
            self._clock.thaw()

    def set_once(self, seconds: float) -> None:
        """As `set`, unless it is set already."""
        if self.when is None:
            self.set(seconds)

    def restart(self) -> None:
        """Ring after the full length again."""
        self.clear()
        self.when = self._clock.now() + self._length
        self._handle = self._clock.loop.call_at(self.when, self._ring)

    def clear(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self.when = None

    def _ring(self) -> None:
        if self._clock.slept(self):
            self._clock.thaw()
            return
        self._handle = self.when = None
        self.then()
