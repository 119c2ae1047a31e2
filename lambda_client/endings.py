"""How an exchange comes to its end although something does not: every wait has one alarm here.

All of it within turns (`reactor`): user code waits for one thing only, that the session is settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambda_client.pump import Pump
    from lambda_client.shared import Shared


class Endings:
    """The deadline, the answer to a CANCEL, END_ACK, and the last frames on their way out."""

    def __init__(self, session: Shared, pump: Pump) -> None:
        times = session.timing
        self._session = session
        self._pump = pump
        self._late = False
        self._clock = pump.clock
        self._flush_seconds = times.flush
        self._deadline: float | None = None  # for user code
        if session.deadline is None or session.remaining is None:
            return
        early = min(times.deadline, times.deadline_share * session.remaining)
        self._flush_seconds = min(times.flush, early / 2)
        self._deadline = session.deadline - early

    def begin(self) -> None:
        """Let the deadline count, now that the session knows its pump: what is broken off before leaves no alarm."""
        if self._deadline is not None:
            # Lambda counts a stopped process's time as well: this one alarm is never set anew.
            left = self._deadline - self._clock.now()
            self._clock.set(self._out_of_time, left, awake=False)

    # ------------------------------------------------------------ what happens

    def cancelled(self) -> None:
        """A CANCEL came: user code has a moment to stop by itself."""
        if self._session.user_done:
            self._abandon_user()
        else:
            self._clock.set_once(self._abandon_user, self._session.timing.cancel_grace)

    def user_done(self) -> None:
        """User code is over, and the exchange is not."""
        if self._session.stream.broken_off:
            if self._pump.bound:
                self._clock.set_once(self._pump.settle, self._flush_seconds)
            else:
                self._pump.settle()
        elif self._late:
            self._session.give_up("the function's own deadline is near")
            self._pump.settle()

    def review(self) -> None:
        """User code is over and something was sent: see what there is to wait for now."""
        if self._session.stream.end_sent and not self._session.stream.broken_off:
            self._clock.set_once(self._unacknowledged, self._session.timing.end_ack)

    def lost(self) -> None:
        """The connection is gone: what is awaited is no END_ACK now."""
        self._clock.clear(self._unacknowledged)

    def leaving(self) -> None:
        """All is said on the connection; the kernel shall have it."""
        self._clock.stop()
        self._clock.set(self._pump.settle, self._flush_seconds)

    # ------------------------------------------------------------ what does not happen in time

    def _abandon_user(self) -> None:
        """User code did not stop when it was cancelled: the gateway need not wait for it."""
        self._session.abandon_user()
        self._pump.flush()

    def _unacknowledged(self) -> None:
        seconds = self._session.timing.end_ack
        self._session.give_up(f"the gateway did not acknowledge the end in {seconds:g} s")
        self._pump.settle()

    def _out_of_time(self) -> None:
        """Break an incomplete response off while there is time to say so; return a complete one."""
        if self._session.out_of_time():
            if self._pump.bound:
                self._clock.set_once(self._pump.settle, self._flush_seconds)
                self._pump.flush()
            else:
                self._pump.settle()
            return
        self._late = True
        if self._session.user_done:
            self._session.give_up("the function's own deadline is near")
            self._pump.settle()
