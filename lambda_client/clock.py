"""Alarms that count awake time: a process that was frozen or stopped finds them wound up anew.

An alarm that rings much too late says that nothing ran meanwhile. What it waited for may well have
come: so every alarm of its clock is set again to its full length, and nobody is given up unheard.

An invocation sets seven alarms, and nearly always all of them are cleared again a millisecond later. So an
alarm is an entry under what is to happen, and one timer stands for all of a thread, never later than the
next alarm: one that fires too early looks when the next is due. Between invocations it is left to fire, for
nothing.
"""

from __future__ import annotations

from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambda_client.event_loop import Handle, Loop

    Happening = Callable[[], None]
    Alarm = tuple[float, float, bool]


class Ticker:
    """The one timer of an event loop, for the alarms of every clock on it.

    Attributes:
        clocks: at which it looks, in order: every one with an alarm, and some that have none any more.
        due: when it will look at them; infinite: never.
    """

    def __init__(self, loop: Loop) -> None:
        self.now = loop.time
        self.clocks: dict[Clock, None] = {}
        self.due = inf
        self._loop = loop
        self._timer: Handle | None = None

    def expect(self, when: float) -> None:
        """Look at the clocks at `when`, which is before it would have looked anyway."""
        # In this order: whatever an exception from outside breaks off, a timer is there.
        before, self._timer = self._timer, self._loop.call_at(when, self._tick)
        self.due = when
        if before is not None:
            before.cancel()

    def _tick(self) -> None:
        # A loop may be early by the resolution of its clock.
        due, self.due, self._timer = max(self.due, self.now()), inf, None
        try:
            for clock in tuple(self.clocks):
                clock.ring(due)
        finally:
            for clock in tuple(self.clocks):
                clock.wind()


class Clock:
    """The alarms of one session; each is known by what happens unless something else comes before.

    Attributes:
        now: the time.
        late: seconds too late that mean a freeze.
        alarms: those that are set: when, with which length, and whether that is awake time.
    """

    def __init__(self, ticker: Ticker, late: float, thawed: Happening) -> None:
        """Start with no alarm.

        Args:
            ticker: of the loop; its time is the time.
            late: seconds too late that mean a freeze.
            thawed: called after a freeze, once all alarms are set again.
        """
        self.now = ticker.now
        self.late = late
        self._ticker = ticker
        self.alarms: dict[Happening, Alarm] = {}
        self._thawed = thawed
        self._closed = False

    def set(self, then: Happening, seconds: float, *, awake: bool = True) -> None:
        """Let it happen in so many seconds, instead of whenever it was set for.

        Args:
            then: what happens.
            seconds: from now on.
            awake: count awake time; False for what somebody else's clock brings about.
        """
        if self._closed:
            return
        length = seconds if seconds > 0 else 0.0
        before, when = self.alarms.get(then), self.now() + length
        self._ticker.clocks[self] = None
        self.alarms[then] = when, length, awake
        if when < self._ticker.due:
            self._ticker.expect(when)
        if before is not None and self._slept(before):
            # Whoever sets it came before the alarm itself, on the first turn after a freeze.
            self._thaw()

    def set_once(self, then: Happening, seconds: float) -> None:
        """As `set`, unless it is set already."""
        if then not in self.alarms:
            self.set(then, seconds)

    def clear(self, *those: Happening) -> None:
        """Let none of those happen."""
        for then in those:
            self.alarms.pop(then, None)

    def stop(self) -> None:
        """Let nothing happen of all that was set."""
        self.alarms.clear()
        self._ticker.clocks.pop(self, None)

    def close(self) -> None:
        """Let nothing happen any more, whatever is set from now on: who would be told is gone."""
        self._closed = True
        self.stop()

    # ------------------------------------------------------------ for the ticker

    def ring(self, now: float) -> None:
        """Let everything happen that is due, each once, the earliest first; unless nothing ran for long."""
        due = [(alarm[0], then) for then, alarm in self.alarms.items() if alarm[0] <= now]
        for _, then in sorted(due, key=itemgetter(0)):
            alarm = self.alarms.get(then)
            if alarm is None or alarm[0] > now:  # one before it has cleared or moved it
                continue
            if self._slept(alarm):
                self._thaw()
            else:
                del self.alarms[then]
                then()

    def wind(self) -> None:
        """See that the earliest alarm will ring."""
        when = min((when for when, _, _ in self.alarms.values()), default=inf)
        if when == inf:
            self._ticker.clocks.pop(self, None)
        elif when < self._ticker.due:
            self._ticker.expect(when)

    def _thaw(self) -> None:
        """Set every alarm again: nothing that they wait for could come while nothing ran."""
        now = self.now()
        for then, (_, length, awake) in self.alarms.items():
            if awake:
                self.alarms[then] = now + length, length, awake
        self._thawed()

    def _slept(self, alarm: Alarm) -> bool:
        """Tell whether it should have rung long ago, had anything run."""
        when, _, awake = alarm
        return awake and self.now() - when > self.late
