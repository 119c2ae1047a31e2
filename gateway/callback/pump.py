"""One callback connection: socket -> protocol connection -> journal, and back.

The reader never waits for a write or for a consumer: flow control is the journal's credit. What there is to
say is written in a turn of the loop of its own, behind whatever was read in this one; the journal asks for it,
and the one timer that stands for every deadline of the connection. While the transport holds enough that waits
until it wants more.

A close leaves the stream at once. The Close frame goes out behind whatever was written.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from gateway.journal.store import Buried
from protocol.codec import decode
from protocol.connection import GatewayConnection
from protocol.errors import CloseCode, GoawayCode, ProtocolError, RejectCode, RemoteProtocolError
from protocol.frames import (
    Attach,
    Attached,
    AttachedFlag,
    AttachFlag,
    Data,
    End,
    Head,
    Park,
    Reject,
    Reset,
)

if TYPE_CHECKING:
    from gateway.callback.connections import Connections
    from gateway.callback.websocket import WebSocket
    from gateway.journal.memory import MemoryJournal
    from gateway.journal.store import JournalStore
    from gateway.telemetry import Telemetry
    from protocol.frames import Frame, StreamFrame
    from protocol.limits import Limits

log = logging.getLogger("dialback.callback")


class Pump:
    """Runs one WebSocket from its upgrade to its end."""

    def __init__(
        self,
        socket: WebSocket,
        store: JournalStore,
        telemetry: Telemetry,
        limits: Limits,
        connections: Connections,
    ) -> None:
        self._socket = socket
        self._store = store
        self._telemetry = telemetry
        self._limits = limits
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._connection = GatewayConnection(limits, self._loop.time())
        self._journal: MemoryJournal | None = None
        self._sid = 0
        self._answer: Attached | None = None
        self._woken = False  # a turn of the loop is coming to write
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0  # kept here: what uvloop returns for a time that is past cannot tell
        self._closing = False
        self._stall: _Stall | None = None

    # ------------------------------------------------------------ what the journal calls

    def outbox_changed(self) -> None:
        """Write soon if there is something to say, or see that it will be in time."""
        if self._woken:
            return
        now = self._loop.time()
        if self._connection.has_frames or (self._journal is not None and self._journal.due(now)):
            self.wake()
        elif self._journal is None or self._socket.full:
            self._arm(self._next_deadline())
        else:  # those of a connection that carries a stream only move away
            self._arm(self._journal.next_deadline())

    def superseded(self) -> None:
        """Close: the function has a newer connection for this exchange."""
        self._journal = None
        self.close(CloseCode.SUPERSEDED)

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Serve the connection until it is lost, for whatever reason."""
        self._connections.opened(self)
        self._arm(self._next_deadline())  # whoever never says a word is due, too

    @property
    def active(self) -> bool:
        """Whether it carries a stream."""
        return self._journal is not None

    def send_away(self, until: float) -> None:
        """Let the function finish what it has, up to `until` (loop time), and come here no more."""
        left = max(0.0, until - self._loop.time())
        self._connection.go_away(GoawayCode.DRAINING, round(left / _MS))
        self.wake()

    def close(self, code: CloseCode) -> None:
        """Leave the stream now, and end the connection soon."""
        if not self._closing:
            self.left()
            self._socket.close(code)

    # ------------------------------------------------------------ what the socket calls

    def left(self) -> None:
        """The function closes."""
        self._closing = True
        self._leave()

    def lost(self, error: Exception | None) -> None:
        """There is no connection any more."""
        if error is not None:
            log.info("callback lost: %s", error)
        self.left()
        self._connections.closed(self)
        if self._timer is not None:
            self._timer.cancel()

    def has_room(self) -> None:
        """The transport wants more."""
        self.wake()

    def rule_broken(self, error: RemoteProtocolError) -> None:
        """Count a rule that was broken outside of the stream against the exchange that is bound."""
        if (
            self._closing
        ):  # one line tells why; of what a peer says after it each message could make another
            return
        if self._journal is not None:
            self._journal.rule_broken(self, error)
        self._broken(error)

    def take(self, data: bytes) -> None:
        """Take a message."""
        if self._closing:  # an ATTACH that is read now would be bound to nothing
            return
        now = self._loop.time()
        try:
            frame = decode(data, max_frame=self._limits.max_frame)
            wanted = None if frame is None else self._connection.receive(frame, now)
        except RemoteProtocolError as error:
            self.rule_broken(error)
            return
        if wanted is not None:
            try:
                self._route(wanted, now)
            except ProtocolError as error:
                self._broken(error)
                return
        elif frame is None:
            self._connection.heard(now)
        # What came of a response asks for no answer before its client takes it; then the journal calls. And an
        # ATTACH has seen to its own.
        if not isinstance(wanted, _SILENT):
            self.outbox_changed()

    def _broken(self, error: ProtocolError) -> None:
        log.warning("callback broke the protocol: %s", error)
        self.close(error.close_code)

    def _route(self, frame: StreamFrame | Park, now: float) -> None:
        match frame:
            case Attach():
                self._attach(frame, now)
            case Park():
                self._connections.has_parked(self)
            case _:
                if self._journal is not None:
                    self._journal.receive(frame, self, now)
                    if isinstance(frame, _LAST):
                        self._release_if_over(now)

    def _attach(self, frame: Attach, now: float) -> None:
        self._leave()
        answer = self._admit(frame, now)
        if isinstance(answer, Reject):
            self._telemetry.attach("rejected")
            log.info("callback refused: %s", answer)
            self._connection.refuse(answer, now)
            self._connections.has_parked(self)
        else:
            self._telemetry.attach("accepted")
            self._connection.accept(frame.sid, now)
            self._sid = frame.sid
            self._answer = answer
            self._connections.attached(self)
            if frame.flags & AttachFlag.FRESH and answer.flags & AttachedFlag.REQ_ENDED:
                self._connections.unanswered.begin(self)
                return  # nobody waits for it, nor for a request body
        self.wake()

    def _leave(self) -> None:
        """The stream that was bound here is over on this connection, or left behind."""
        if self._journal is not None:
            self._journal.detach(self)
            self._journal = None
            self._forget_answer()

    def _release_if_over(self, now: float) -> None:
        """Let the connection carry another stream once this one has done its part."""
        if self._journal is not None and self._journal.over:
            self._connection.release(self._sid, now)
            self._leave()
            self._connections.has_parked(self)

    def _admit(self, frame: Attach, now: float) -> Attached | Reject:
        journal = self._store.find(frame.xid)
        if journal is None:
            return _reject(frame, RejectCode.UNKNOWN, "no such exchange here")
        if not journal.grant.admits(frame.inv, frame.token):
            return _reject(frame, RejectCode.BAD_TOKEN, "the token is for another exchange")
        if isinstance(journal, Buried):
            return journal.tombstone.refuse(frame)
        answer = journal.attach(frame, self, now)
        if isinstance(answer, Attached):
            self._journal = journal
        return answer

    # ------------------------------------------------------------ writing

    def _forget_answer(self) -> None:
        self._answer = None
        self._connections.unanswered.end(self)

    def wake(self) -> None:
        """Write soon what there is to say."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._woken = False
        if self._closing or self._socket.closing:
            return  # nothing may follow a Close
        if not self._socket.full:
            self._socket.send(self._waiting_frames(self._loop.time()))
        self._arm(self._next_deadline())  # even so: its peer may be stuck for good

    def _waiting_frames(self, now: float) -> list[Frame]:
        frames = self._connection.frames_to_send(now)
        if self._answer is not None:
            frames.append(self._answer)
            self._forget_answer()
        if self._journal is not None:
            frames += self._journal.frames_to_send(now)
            self._release_if_over(now)
        return frames

    # ------------------------------------------------------------ time

    def _next_deadline(self) -> float | None:
        deadline = self._connection.next_deadline()
        if self._stall is not None and (deadline is None or self._stall.deadline < deadline):
            deadline = self._stall.deadline
        # What a journal has due while the transport is full waits for room there, not for a timer.
        if self._journal is not None and not self._socket.full:
            other = self._journal.next_deadline()
            if deadline is None or (other is not None and other < deadline):
                deadline = other
        return deadline

    def _arm(self, deadline: float | None) -> None:
        """Keep one timer, never later than any deadline; one that fires early arms anew."""
        if deadline is None or (self._timer is not None and self._timer_due <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = deadline
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._closing:
            return
        now = self._loop.time()
        try:
            self._connection.handle_timer(now)
            self._check_writer(now)
        except ProtocolError as error:
            log.info("callback ended: %s", error)
            self.close(error.close_code)
            return
        self.wake()  # whoever writes arms the next one

    def _check_writer(self, now: float) -> None:
        """See that bytes which wait for a peer get fewer; only the timer looks.

        Raises:
            RemoteProtocolError: it took none for `dead_ms`.
        """
        active = self._connection.active is not None
        waiting = self._socket.waiting if active else 0
        if not waiting:
            self._stall = None
            return
        taken = self._socket.taken
        if self._stall is None or taken > self._stall.taken:
            self._stall = _Stall(taken, now + self._limits.dead_ms * _MS)
        elif now >= self._stall.deadline:
            raise RemoteProtocolError(
                f"the function takes nothing of {waiting} bytes", close_code=CloseCode.WRITE_STALL
            )


class _Stall(NamedTuple):
    taken: int  # bytes by the kernel, when last looked at
    deadline: float


_MS = 0.001
_SILENT = (Data, Head, Attach)
_LAST = (End, Reset)


def _reject(frame: Attach, code: RejectCode, message: str) -> Reject:
    return Reject(sid=frame.sid, code=code, retry_ms=None, message=message, url=None)
