"""Stops calling a function that is called in vain: it runs, and never reaches this gateway.

Only our own infrastructure can be at fault then, and every further call is billed for nothing. A
function that is slow, that raises, or that answers through its invoke is no reason to stop.

    CLOSED --too many in a row--> OPEN --after a pause--> HALF_OPEN --the probe reached us--> CLOSED
                                   ^------the probe did not: a longer pause-------+

Pure: time comes in as an argument.
"""

from __future__ import annotations

from enum import IntEnum
from random import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IN_VAIN_MAX = 5
"""Exchanges in a row that end so before it opens: fewer could be one network hiccup under load."""

PAUSE_GROWTH = 12
"""The longest pause is so many times the first: a minute after five seconds. A repaired network is
noticed within it, and a broken one costs a call a minute."""

JITTER = 0.2
"""Share by which a pause varies, so that the gateways of a fleet do not probe all at once."""

PROBE_PATIENCE = 20.0
"""Seconds until a probe of which nothing was heard is no reason any more to hold back others: a cold
start and its dial are over by then, and a function that answers without dialling may take minutes."""

PROBE_SECONDS = 1.0
"""What whoever comes while a probe is under way is told to wait: most probes take less."""


class BreakerState(IntEnum):
    """Whether calls go out; the numbers are those of the metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Decides for one route whether its function may be called.

    Args:
        pause: seconds before the first probe; each further one in a row comes twice as late.
        on_change: told the new state, and the seconds until a probe.
        chance: a number from 0 to 1, a new one each time.

    Attributes:
        state: whether calls go out.
        unaware: whether the function is known to answer without ever dialling.
    """

    def __init__(
        self,
        pause: float,
        on_change: Callable[[BreakerState, float], None],
        chance: Callable[[], float] = random,
    ) -> None:
        self.state = BreakerState.CLOSED
        self.unaware = False
        self._first_pause = pause
        self._on_change = on_change
        self._chance = chance
        self._in_vain = 0
        self._openings = 0
        self._probe_at = 0.0
        self._probe: Trial | None = None
        self._probe_until = 0.0

    def wait(self, now: float) -> float | None:
        """Return the seconds after which to come back, or None if a call may go out now."""
        if self.state is BreakerState.OPEN and now < self._probe_at:
            return self._probe_at - now
        if self._probe is None or now >= self._probe_until:
            return None
        return PROBE_SECONDS

    def admit(self, now: float) -> Trial | None:
        """Let one call go out; None if it may not (see `wait`).

        The trial must be told what came of it, `over` at the latest.
        """
        if self.state is BreakerState.CLOSED:
            return Trial(self)
        if self.wait(now) is not None:
            return None
        self._probe = trial = Trial(self)
        self._probe_until = now + PROBE_PATIENCE
        self._move(BreakerState.HALF_OPEN, 0.0)
        return trial

    # ------------------------------------------------------------ what trials say

    def fine(self, *, unaware: bool | None = None) -> None:
        """A call was not in vain; even an old one proves that the way is open.

        Args:
            unaware: whether the function answered without dialling, if that is known.
        """
        self._probe = None
        self._in_vain = self._openings = 0
        if unaware is not None:
            self.unaware = unaware
        if self.state is not BreakerState.CLOSED:
            self._move(BreakerState.CLOSED, 0.0)

    def in_vain(self, trial: Trial, now: float) -> None:
        """A call was in vain. Those from before it opened have been counted enough."""
        probe = self._settle(trial)
        self._in_vain += 1
        full = self.state is BreakerState.CLOSED and self._in_vain >= IN_VAIN_MAX
        if probe or full:
            pause = self._first_pause * min(2**self._openings, PAUSE_GROWTH)
            pause *= 1 + JITTER * (2 * self._chance() - 1)
            self._openings += 1
            self._probe_at = now + pause
            self._move(BreakerState.OPEN, pause)

    def nothing(self, trial: Trial) -> None:
        """A call taught nothing: if it was the probe, another may go out."""
        self._settle(trial)

    def _settle(self, trial: Trial) -> bool:
        was_probe = self._probe is trial
        if was_probe:
            self._probe = None
        return was_probe

    def _move(self, state: BreakerState, pause: float) -> None:
        if state is not self.state:  # a probe may follow another that was given up
            self.state = state
            self._on_change(state, pause)


class Trial:
    """One call that went out, and the first thing that is learnt from it."""

    __slots__ = ("_breaker",)

    def __init__(self, breaker: Breaker) -> None:
        self._breaker: Breaker | None = breaker

    def reached(self) -> None:
        """The function attached, or its library reported: all is well."""
        if self._breaker is not None:
            self._breaker.fine(unaware=False)
            self._breaker = None

    def answered(self) -> None:
        """The function returned an ordinary answer: it does not know of callbacks."""
        if (breaker := self._take()) is not None:
            breaker.fine(unaware=True)

    def ran(self) -> None:
        """The function ran, though it failed by itself."""
        if (breaker := self._take()) is not None:
            breaker.fine()

    def in_vain(self, now: float) -> None:
        """The function could not be called, or says that it could not dial."""
        if (breaker := self._take()) is not None:
            breaker.in_vain(self, now)

    def silent(self, now: float) -> None:
        """Whether the function ran is unknown, and nothing attached in time."""
        if (breaker := self._take()) is None:
            return
        if breaker.unaware:
            breaker.nothing(self)
        else:
            breaker.in_vain(self, now)

    def over(self) -> None:
        """Nothing more will be learnt."""
        if self._breaker is not None:
            self._breaker.nothing(self)
            self._breaker = None

    def _take(self) -> Breaker | None:
        breaker, self._breaker = self._breaker, None
        return breaker
