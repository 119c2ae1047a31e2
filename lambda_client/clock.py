"""Alarms that count awake time: a process that was frozen or stopped finds them wound up anew.

An alarm that rings much too late says that nothing ran meanwhile. What it waited for may well have
come: so every alarm of its clock is set again to its full length, and nobody is given up unheard.

An invocation sets nine alarms, and nearly always all of them are cleared again a millisecond later. So an
alarm is a number, and one timer stands for all of a thread, never later than the next alarm: one that
fires too early looks when the next is due. Between invocations it is left to fire, for nothing.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambda_client.event_loop import Handle, Loop


class Ticker:
    """The one timer of an event loop, for the alarms of every clock on it.

    Attributes:
        due: when it will look at them; infinite: never.
    """

    def __init__(self, loop: Loop) -> None:
        self.now = loop.time
        self.due = inf
        self._loop = loop
        self._clocks: set[Clock] = set()
        self._timer: Handle | None = None

    def expect(self, clock: Clock, when: float) -> None:
        """Look at a clock at `when`, or before."""
        self._clocks.add(clock)
        if when >= self.due:
            return
        # In this order: whatever an exception from outside breaks off, a timer is there.
        before, self._timer = self._timer, self._loop.call_at(when, self._tick)
        self.due = when
        if before is not None:
            before.cancel()

    def forget(self, clock: Clock) -> None:
        """Nothing of a clock is set any more."""
        self._clocks.discard(clock)

    def _tick(self) -> None:
        # A loop may be early by the resolution of its clock.
        due, self.due, self._timer = max(self.due, self.now()), inf, None
        try:
            for clock in tuple(self._clocks):
                clock.ring(due)
        finally:
            for clock in tuple(self._clocks):
                clock.wind()


class Clock:
    """The alarms of one session.

    Attributes:
        now: the time.
        late: seconds too late that mean a freeze.
        alarms: all there are.
    """

    def __init__(self, ticker: Ticker, late: float, thawed: Callable[[], None]) -> None:
        """Start with no alarm.

        Args:
            ticker: of the loop; its time is the time.
            late: seconds too late that mean a freeze.
            thawed: called after a freeze, once all alarms are set again.
        """
        self.now = ticker.now
        self.late = late
        self.alarms: list[Alarm] = []
        self._ticker = ticker
        self._known = False  # the ticker looks at this one
        self._thawed = thawed

    def expect(self, when: float) -> None:
        """An alarm rings at `when`."""
        if not self._known or when < self._ticker.due:
            self._ticker.expect(self, when)
            self._known = True

    def ring(self, now: float) -> None:
        """Let every alarm ring that is due, each once, the earliest first."""
        due = [(alarm.when, alarm) for alarm in self.alarms if alarm.due(now)]
        for _, alarm in sorted(due, key=lambda one: one[0] or 0.0):
            if alarm.due(now):  # none before it has cleared or moved it
                alarm.ring()

    def wind(self) -> None:
        """See that the earliest alarm will ring."""
        when = min((alarm.when for alarm in self.alarms if alarm.when is not None), default=None)
        if when is None:
            self._forget()
        else:
            self.expect(when)

    def thaw(self) -> None:
        """Set every alarm again: nothing that they wait for could come while nothing ran."""
        for alarm in self.alarms:
            if alarm.awake and alarm.when is not None:
                alarm.restart()
        self._thawed()

    def stop(self) -> None:
        """Let nothing ring any more."""
        for alarm in self.alarms:
            alarm.when = None
        self._forget()

    def _forget(self) -> None:
        self._known = False
        self._ticker.forget(self)


class Alarm:
    """One thing that happens unless something else comes before.

    Attributes:
        then: what happens.
        awake: whether it is set anew after a freeze.
        when: the time it is set to; None while it is not set.
    """

    __slots__ = ("_clock", "_length", "awake", "then", "when")

    def __init__(self, clock: Clock, then: Callable[[], None], *, awake: bool = True) -> None:
        """Make one that is not set.

        Args:
            clock: whose it is.
            then: what happens.
            awake: count awake time; False for what somebody else's clock brings about.
        """
        self.then = then
        self.awake = awake
        self.when: float | None = None
        self._clock = clock
        self._length = 0.0
        clock.alarms.append(self)

    def set(self, seconds: float) -> None:
        """Ring in so many seconds, instead of whenever it was set to."""
        before, self._length = self.when, seconds if seconds > 0 else 0.0
        self.restart()
        if before is not None and self._slept(before):
            # Whoever sets it came before the alarm itself, on the first turn after a freeze.
            self._clock.thaw()

    def set_once(self, seconds: float) -> None:
        """As `set`, unless it is set already."""
        if self.when is None:
            self.set(seconds)

    def restart(self) -> None:
        """Ring after the full length again."""
        self.when = when = self._clock.now() + self._length
        self._clock.expect(when)

    def clear(self) -> None:
        """Do not ring."""
        self.when = None

    def due(self, now: float) -> bool:
        """Whether it should have rung by now."""
        return self.when is not None and self.when <= now

    def ring(self) -> None:
        """Make it happen, unless nothing ran for long."""
        if self.when is not None and self._slept(self.when):
            self._clock.thaw()
            return
        self.when = None
        self.then()

    def _slept(self, when: float) -> bool:
        """Tell whether it should have rung long ago, had anything run."""
        return self.awake and self._clock.now() - when > self._clock.late
