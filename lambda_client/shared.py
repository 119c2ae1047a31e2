"""What user code and the I/O share of one exchange, under one lock.

    IDLE --open--> DIALLING --> ATTACHED <--> LOST
                      |            |            |
                      |            +--> SETTLED <+
                      +--> UNREACHABLE

Here is the I/O's side of it: what it may read and change. User code's side is `Session`.
"""

from __future__ import annotations

import logging
import threading
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from lambda_client import chance, timing
from lambda_client.errors import (
    ClientGone,
    DeadlineReached,
    GatewayUnreachable,
    StreamClosed,
    StreamLost,
)
from lambda_client.waiting import Waiters
from protocol.errors import ResetCode
from protocol.frames import Attached, Cancel, Data, End
from protocol.function_stream import FunctionStream
from protocol.limits import RECEIPT_BODY_MAX, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambda_client.invocation import Invocation
    from lambda_client.timing import Timing
    from protocol.envelope import Envelope
    from protocol.frames import Attach, Frame, StreamFrame

logger = logging.getLogger("dialback")

PAUSE = 0.0005
"""Seconds without a frame after which a write is no flood, and is sent by whoever writes."""

BURST = 2
"""So many more that follow at once are sent so, too: an event comes in two or three pieces, and whoever is late makes
up for it. Their code is warm by then, and to wake the I/O thread costs more. In a longer row it joins them."""


class Phase(Enum):
    """How the exchange stands towards a connection."""

    IDLE = "idle"
    DIALLING = "dialling"
    ATTACHED = "attached"
    LOST = "lost"
    UNREACHABLE = "unreachable"
    SETTLED = "settled"


#: Looked up once: in Python 3.11 that takes long (see `protocol.function_stream`).
_UNCARRIED = (Phase.UNREACHABLE, Phase.SETTLED)
_CARRIED = (Phase.DIALLING, Phase.ATTACHED, Phase.LOST)


@lru_cache(maxsize=1)  # a gateway always says the same
def _limits(max_frame: int) -> Limits:
    return Limits(max_frame=max_frame)


class Shared:
    """One exchange, between two threads.

    Attributes:
        envelope: how to dial back.
        deadline: when Lambda ends the function (in seconds of the I/O loop's clock), or None.
        remaining: seconds from the start of the invocation to its deadline, or None.
        timing: how long what may take.
        lock: guards everything below.
        stream: the protocol's side of the exchange.
        waiters: who waits for credit, for request bytes, or for the end.
        sid: the stream's id on its connection.
        phase: see above; DIALLING until an ATTACH was sent, LOST from its loss to the next one.
        failure: why nobody takes the response any more.
        dial_failure: why the gateway could not be reached so far.
        user_done: user code has no more to say.
        returns: a receipt will say how the response ended; where user code raised none does.
        end_was_sent: END was handed to some connection: the gateway may hold everything.
    """

    def __init__(self, invocation: Invocation, envelope: Envelope, times: Timing | None) -> None:
        self.envelope = envelope
        self.deadline = invocation.deadline
        self.remaining = invocation.remaining
        self.timing = times or timing.TIMING
        self.lock = threading.Lock()
        limits = _limits(envelope.max_frame)
        self.stream = FunctionStream(envelope, secret=chance.secret(), limits=limits)
        self.waiters = Waiters(self.lock)
        self.sid = 0
        self.phase = Phase.IDLE
        self.failure: StreamClosed | None = None
        self.dial_failure: str | None = None
        self.user_done = False
        self.returns = True
        self.end_was_sent = False
        self._stop: Callable[[], None] | None = None
        self._pump_idle = False
        self._sent_at = 0.0
        self._in_a_row = 0  # writes without a pause before them
        self._urgent = False
        self._body_came = False  # and nobody was told

    @property
    def settled(self) -> bool:
        """Whether no connection carries the stream, or will."""
        return self.phase in _UNCARRIED

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.failure is not None or self.settled

    # ------------------------------------------------------------ the lock is held

    def attach(self, sid: int) -> Attach | None:
        """Return the ATTACH for a new connection; None if none is needed any more."""
        if self.phase not in _CARRIED:
            return None
        self.phase = Phase.ATTACHED
        self.sid = sid
        return self.stream.attach(sid)

    def frames_to_send(self, now: float, *, paused: bool) -> list[Frame]:
        """Return what waits; the next write has to see to it again.

        While the transport is full only a RESET leaves: other bytes wait, and are joined, here.
        """
        self._pump_idle = not paused
        if self._body_came:
            self._body_came = False
            self.waiters.notify()
        if paused and not self._urgent:
            return []
        frames = self.stream.frames_to_send(now)
        if frames:
            self._sent_at = now
            self.end_was_sent = self.end_was_sent or isinstance(frames[-1], End)
        return frames

    def receive(self, frame: StreamFrame, now: float) -> None:
        """Take a frame of the gateway.

        Raises:
            ProtocolError: the gateway broke a rule.
        """
        self.stream.receive(frame, now)
        if isinstance(frame, Cancel) and self.stream.cancelled is frame:
            self._close(ClientGone(frame.code, frame.message))
        elif isinstance(frame, Attached) and self.stream.broken_off:
            self._close(StreamLost("what the gateway holds is not what was sent"))
        if isinstance(frame, Data):
            self._body_came = True  # more may follow in the same read
        else:
            self.waiters.notify()

    def break_off(self, code: ResetCode, message: str) -> None:
        """Let a RESET be the next that leaves, however full the transport is."""
        self.stream.reset(code, message)
        self._urgent = True

    def refuse_large_body(self) -> NoReturn:
        """Raise that the rest would fit no receipt, and nothing else can carry it."""
        self.failure = GatewayUnreachable(
            f"{self.dial_failure}; and without it a function cannot return a body of more than"
            f" {RECEIPT_BODY_MAX} bytes"
        )
        raise self.failure

    def _close(self, failure: StreamClosed) -> None:
        if self.failure is None and not self.stream.end_acknowledged:
            self.failure = failure
            if isinstance(failure, ClientGone | DeadlineReached):
                self._stop_user()
        self.waiters.notify()

    def _stop_user(self) -> None:
        if self._stop is not None:
            self._stop()

    # ------------------------------------------------------------ the lock is not held

    def failed(self, reason: str) -> None:
        """What the gateway sent made the exchange worthless."""
        with self.lock:
            self._close(StreamLost(reason))

    def refused(self, failure: ClientGone) -> None:
        """The gateway wants nothing of this response any more, and says so instead of ATTACHED."""
        with self.lock:
            self._close(failure)
            self.stream.reset(ResetCode.CANCELLED, str(failure))

    def without_connection(self, phase: Phase) -> None:
        """The stream is on no connection now: DIALLING if it never was, else LOST."""
        with self.lock:
            self.stream.detach()
            self.waiters.notify()
            self._pump_idle = False
            if self.phase is Phase.ATTACHED:
                self.phase = phase

    def unreachable(self, reason: str) -> None:
        """The gateway could not be dialled: keep the body for the receipt."""
        with self.lock:
            if self.phase is not Phase.DIALLING:
                return
            self.phase = Phase.UNREACHABLE
            self.dial_failure = reason
            self.stream.buffer_for_receipt()
            self.waiters.notify()
        logger.warning("%s; the response returns with the invocation instead", reason)

    def buffer_for_receipt(self) -> None:
        """The gateway has been away for long: user code may end in the receipt."""
        with self.lock:
            self.stream.buffer_for_receipt()
            self.waiters.notify()

    def out_of_time(self) -> bool:
        """Lambda is about to end the function: break the response off, unless it is complete.

        Returns:
            Whether it was broken off (by this, or before).
        """
        why = "the function's own deadline is near"
        with self.lock:
            if self.stream.ended and not self.stream.broken_off:
                return False
            self._close(DeadlineReached(why))
            self.break_off(ResetCode.DEADLINE, why)
            return True

    def abandon_user(self) -> None:
        """Answer the CANCEL, although user code still runs."""
        with self.lock:
            self.break_off(ResetCode.CANCELLED, "the handler did not stop in time")

    def give_up(self, reason: str) -> None:
        """Expect no connection any more. What the receipt can carry is not lost."""
        with self.lock:
            if not self.stream.returnable:
                self._close(StreamLost(reason))

    def tear(self, failure: StreamClosed) -> None:
        """Carry nothing any more: nobody knows what was sent."""
        with self.lock:
            self._close(failure)
            self.stream.reset(ResetCode.LOST, str(failure))
            self.phase = Phase.SETTLED
            self.waiters.notify()

    def settle(self) -> None:
        """The stream is over on its connection, for better or worse."""
        with self.lock:
            self.phase = Phase.SETTLED
            self.waiters.notify()
