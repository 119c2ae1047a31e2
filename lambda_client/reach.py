"""How one session gets its connection: the first, and another one whenever it is lost.

Two patiences bound it. Until the first ATTACH was sent nobody but the invoke can carry the response:
after `Timing.patience` the receipt does. Once a connection was lost the gateway waits for the stream
to come back, for its `resume_grace_ms`: so long user code may go on, and `Timing.tail` after the loss
what is complete returns with the receipt.

On a connection that was parked nobody knows whether the gateway still listens. Silence starts a dial
beside it (the hedge); whichever answers first carries the stream.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lambda_client.dial import Dial, DialError
from lambda_client.errors import ClientGone
from lambda_client.reconnect import Route
from lambda_client.shared import Phase
from protocol.errors import PASSING_REJECTS, CancelCode, RejectCode

if TYPE_CHECKING:
    from lambda_client.connection import Connection
    from lambda_client.loop import Io
    from lambda_client.pump import Pump
    from lambda_client.shared import Shared
    from protocol.frames import Attach, Reject

logger = logging.getLogger("dialback")


class Reach:
    """Everything between `no connection` and `ATTACHED`, within turns."""

    def __init__(self, io: Io, session: Shared, pump: Pump) -> None:
        self._io = io
        self._session = session
        self._pump = pump
        self._clock = pump.clock
        self._dial: Dial | None = None
        self._found: Route | None = None
        self._impatient = False
        self._tail_due = False
        self._reused = False
        self._unknown = False
        self._why = "no answer in time"
        self._lost_at: float | None = None
        self._attached_at: float | None = None
        self._progress = -1

    @property
    def _route(self) -> Route:
        """The way there, for whoever has to look for one."""
        # No `cached_property`: in Python 3.11 it has a lock, which a fork may find taken, for good.
        if self._found is None:
            self._found = Route(self._session.envelope.urls, self._session.timing)
        return self._found

    # ------------------------------------------------------------ the first connection

    def begin(self) -> None:
        """Take what an earlier invocation left, or dial; a dial of its that still runs may win."""
        self._clock.set_once(self._on_impatience, self._capped(self._session.timing.patience))
        parked = self._io.take_parked(
            self._session.envelope.urls, self._session.timing.idle, within_turn=True
        )
        if parked is not None:
            self._bind(parked, reused=True)
        else:
            self._io.wanted = self._on_wanted
            self._attempt()

    def begin_on(self, connection: Connection, attach: Attach) -> None:
        """Attach on a connection that was parked; if it stays silent, dial beside it."""
        self._clock.set(self._on_impatience, self._capped(self._session.timing.patience))
        if connection.closed:
            self._session.without_connection(Phase.DIALLING)
            self.begin()
        else:
            self._reuse(connection, attach)

    def _reuse(self, connection: Connection, attach: Attach) -> None:
        times, rtt = self._session.timing, connection.state.rtt or 0.0
        self._reused = True
        # Before it is bound: with a RESET that waited the exchange is over at once, and no alarm may be set then.
        self._clock.set(self._attempt, max(times.hedge, times.hedge_rtts * rtt))
        self._pump.bind(connection, attach)

    def _on_wanted(self, connection: Connection) -> None:
        """A dial that an earlier invocation began was quicker than ours."""
        if connection.url not in self._session.envelope.urls:
            self._io.park(connection, lambda: None)
            return
        self._drop_dial()
        self._bind(connection, reused=False)

    def _bind(self, connection: Connection, *, reused: bool) -> None:
        self._io.wanted = self._session.dial_failure = None
        self._clock.clear(self._attempt)
        with self._session.lock:
            attach = self._session.attach(self._io.next_sid())
        if attach is None:  # answered inline meanwhile: the next invocation finds it warm
            self._io.park(connection, lambda: None)
        elif reused:
            self._reuse(connection, attach)
        else:
            self._reused = False
            self._pump.bind(connection, attach)

    # ------------------------------------------------------------ one attempt

    def _attempt(self) -> None:
        url = self._route.next_url() if self._dial is None else None
        if url is None:
            return
        session = self._session
        self._dial = Dial(
            self._io, url, session.envelope.token, session.stream.limits, session.timing.attempt
        )
        self._dial.tell = self._on_dialled

    def _on_dialled(self, outcome: Connection | DialError) -> None:
        dial, self._dial = self._dial, None
        if isinstance(outcome, DialError):
            if outcome.final and dial is not None:
                self._route.refuse(dial.url)
            self._route.hold(outcome.retry_after)
            self._retry(str(outcome))
        elif outcome.closed:
            self._retry(f"could not dial back to {outcome.url}: closed at once")
        else:
            self._bind(outcome, reused=False)

    def _retry(self, why: str) -> None:
        """Try again after the pause that is due, if that may help."""
        self._why = why
        undialled = self._session.phase is Phase.DIALLING
        if undialled:
            self._session.dial_failure = why  # an answer may be quicker than the next attempt
        if self._route.open and not (undialled and self._impatient):
            if self._dial is None:
                self._clock.set(self._attempt, self._route.pause())
        elif not self._pump.bound:
            self._give_up(why)

    # ------------------------------------------------------------ what the gateway answers

    def attached(self, connection: Connection) -> None:
        """The stream goes on here."""
        self._clear_alarms()
        self._tail_due = False
        if self._dial is not None:  # the other way of a hedge
            self._drop_dial()
        self._attached_at = self._clock.now()
        self._route.attached(connection.url)
        if self._lost_at is not None:
            seconds = self._attached_at - self._lost_at
            self._lost_at = None
            logger.info("the stream goes on after %.3f s: %s", seconds, self._why)

    def rejected(self, reject: Reject) -> None:
        """The ATTACH was refused: go elsewhere, or end."""
        if reject.code in PASSING_REJECTS:
            self._go_elsewhere(reject)
            return
        session = self._session
        delivered = reject.code == RejectCode.TERMINAL and session.end_was_sent
        if reject.code in (RejectCode.CANCELLED, RejectCode.TERMINAL) and not delivered:
            session.refused(ClientGone(CancelCode.CLIENT_GONE, "nobody waits for the response"))
        elif not delivered:
            session.give_up(f"the gateway refused to attach: {reject}")
        self._pump.leave()

    def _go_elsewhere(self, reject: Reject) -> None:
        connection = self._pump.unbind()
        assert connection is not None  # noqa: S101 - it has just brought the REJECT
        connection.abort()
        lost = self._lost_at is not None
        self._session.without_connection(Phase.LOST if lost else Phase.DIALLING)
        if reject.code == RejectCode.UNKNOWN and not self._reused:
            self._unknown = True
            self._route.refuse(connection.url)
        self._route.hold((reject.retry_ms or 0) / 1000)
        self._route.redirect(reject.url, connection.url)
        self._retry(f"the gateway refused to attach: {reject}")

    # ------------------------------------------------------------ a loss

    def lost(self, reason: str, code: int | None, connection: Connection | None) -> None:
        """The connection broke."""
        session, now = self._session, self._clock.now()
        session.without_connection(Phase.LOST)
        if session.stream.broken_off:
            self._pump.settle()
            return
        lived = 0.0 if self._attached_at is None else now - self._attached_at
        if session.stream.progress > self._progress or lived > session.timing.backoff_max:
            self._route.progressed()
        self._progress = session.stream.progress
        self._attached_at = None
        if self._lost_at is None:
            self._lost_at = now
            self._clock.clear(self._on_impatience)
            self._clock.set(self._on_tail_due, self._capped(session.timing.tail))
            self._clock.set(self._on_grace_over, session.stream.limits.resume_grace_ms / 1000)
        if connection is not None and connection.state.goaway is not None:
            self._route.redirect(connection.state.goaway.url, connection.url)
        why = f"the connection to the gateway was lost: {reason}"
        if self._route.lost(code):
            self._retry(why)
        else:
            self._give_up(why)

    def user_done(self) -> None:
        """User code is over: what is complete need not wait longer than `Timing.tail`."""
        if self._tail_due:
            self._give_up(self._why)

    # ------------------------------------------------------------ the end of patience

    def _capped(self, seconds: float) -> float:
        deadline = self._session.deadline
        if deadline is None:
            return seconds
        left = max(0.0, deadline - self._clock.now())
        return min(seconds, self._session.timing.share * left)

    def _on_impatience(self) -> None:
        self._impatient = True
        if self._session.phase is Phase.DIALLING:
            if self._dial is not None:
                self._why = f"could not dial back to {self._dial.url}: no answer in time"
            self._give_up(self._why)

    def _on_tail_due(self) -> None:
        if self._session.user_done:
            self._give_up(self._why)
        else:  # let it end in the receipt, whatever credit there was
            self._tail_due = True
            self._session.buffer_for_receipt()

    def _on_grace_over(self) -> None:
        self._give_up(self._why)

    def _give_up(self, why: str) -> None:
        self._drop_dial()
        self._clear_alarms()
        self.stop()
        unwanted = self._unknown and not self._route.open  # nobody knows of this exchange
        if self._session.phase is Phase.DIALLING and not unwanted:
            self._session.unreachable(why)
            if not self._session.user_done:
                return  # user code goes on, for the receipt
        else:
            self._session.give_up(why)
        self._pump.settle()

    def _clear_alarms(self) -> None:
        self._clock.clear(
            self._attempt, self._on_impatience, self._on_tail_due, self._on_grace_over
        )

    def _drop_dial(self) -> None:
        if self._dial is not None:
            self._dial.drop()
            self._dial = None

    def stop(self) -> None:
        """Look for no connection any more; a first dial under way may serve the next invocation."""
        if self._io.wanted == self._on_wanted:
            self._io.wanted = None
        dial, self._dial = self._dial, None
        if dial is not None and self._lost_at is None:
            self._io.adopt(dial)
        elif dial is not None:
            dial.drop()
