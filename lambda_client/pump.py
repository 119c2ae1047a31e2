"""Frames between one session and the connection that carries it now.

Everything here runs within turns (`reactor`). The session's lock is held while its stream is touched, never
while a socket is. How the connection is got, and got again, is `Reach`'s; how the exchange ends is
`Endings`'.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from weakref import proxy

from lambda_client.clock import Clock
from lambda_client.endings import Endings
from lambda_client.reach import Reach
from protocol.errors import CloseCode, ProtocolError, RemoteProtocolError, StreamFailed
from protocol.frames import Attached, Cancel, Reject
from protocol.function_stream import FunctionState

if TYPE_CHECKING:
    from lambda_client.connection import Connection
    from lambda_client.loop import Io
    from lambda_client.shared import Shared
    from protocol.frames import Attach, StreamFrame

_DONE = FunctionState.DONE


class Pump:
    """Carries one session.

    Attributes:
        clock: every alarm of the session.
    """

    def __init__(self, io: Io, session: Shared) -> None:
        self._io = io
        self._session = session
        # Its parts do not hold it, so it is free once it is settled: the last that they ask of it.
        me: Pump = proxy(self)
        self.clock = Clock(io.ticker, session.timing.late, partial(Pump._thawed, me))
        self._connection: Connection | None = None
        self._leaving: Connection | None = None
        self._attached_at = 0.0
        self._timed = session.envelope.body == "stream"  # else the stream has no deadline
        self._reach = Reach(io, session, me)
        self._endings = Endings(session, me)

    @property
    def bound(self) -> bool:
        """Whether a connection carries the session now, or its last frames."""
        return self._connection is not None or self._leaving is not None

    # ------------------------------------------------------------ what the session asks for

    def dial(self) -> None:
        """Get a connection and attach on it."""
        self._endings.begin()
        self._reach.begin()

    def reuse(self, connection: Connection, attach: Attach) -> None:
        """Attach on a connection that was parked, with the frame that the session made for it."""
        self._endings.begin()
        self._reach.begin_on(connection, attach)

    def user_done(self) -> None:
        """User code is over: what remains is to bring the exchange to its end."""
        if self._session.settled:
            self.settle()
            return
        self.flush()
        if self._leaving is None and not self._session.settled:
            self._endings.user_done()
            self._reach.user_done()

    # ------------------------------------------------------------ the connection

    def bind(self, connection: Connection, attach: Attach) -> None:
        """Attach on a connection. One that has not answered yet loses against it."""
        loser, self._connection = self._connection, connection
        if loser is not None:
            loser.owner = None
            loser.abort()
        connection.owner = self
        self._attached_at = self.clock.now()
        connection.state.open_stream(attach.sid, self._attached_at)
        self.clock.set(self._on_silence, self._session.timing.attempt)
        self.flush(attach)

    def unbind(self) -> Connection | None:
        """Leave the connection, if there is one, and return it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self.clock.clear(self._on_tick, self._on_silence)
            connection.owner = None
        return connection

    def flush(self, *first: Attach) -> None:
        """Send whatever waits, after what is given; afterwards the session asks for it again."""
        connection, session = self._connection, self._session
        if connection is None:
            return
        now, paused = self.clock.now(), connection.paused
        deadline = None
        with session.lock:
            frames = session.frames_to_send(now, paused=paused)
            over = session.stream.state is _DONE or (
                session.user_done
                and session.returns
                and session.stream.part(frames, silently=connection.state.proven(now))
            )
            # Nothing but a RESET may follow while the transport is full; its resume comes here again.
            if self._timed and not paused:
                deadline = session.stream.next_deadline()
        if first or frames or connection.state.has_frames:
            connection.send([*first, *frames] if first else frames)
        if connection.closed:
            return
        if over:
            self.leave()
            return
        if session.user_done:
            self._endings.review()
        if deadline is not None or self._on_tick not in self.clock.alarms:
            self._arm(connection, deadline)

    def leave(self) -> None:
        """The stream is over on this connection: keep it for the next invocation."""
        connection = self._leaving = self.unbind()
        assert connection is not None  # noqa: S101 - a stream ends on a connection
        connection.state.leave(
            self._session.sid, self.clock.now(), answer_due=self._session.stream.answer_due
        )
        if connection.state.goaway is None:
            self._io.park(connection, self._left)
        else:
            connection.when_flushed(self._left)
        if self._leaving is not None:
            self._reach.stop()
            self._endings.leaving()

    def _left(self) -> None:
        """The kernel has all that was to be said; the environment may freeze."""
        connection, self._leaving = self._leaving, None
        if connection is not None and connection.state.goaway is not None:
            connection.close(CloseCode.NORMAL)
        self.settle()

    def settle(self) -> None:
        """Let the invocation return, and leave nothing of it behind."""
        self._reach.stop()
        connection, self._leaving = self._leaving, None
        if self._connection is not None:
            connection = self.unbind()
        if connection is not None:
            connection.abort()
        self.clock.close()
        self._session.settle()

    # ------------------------------------------------------------ what the connection reports

    def received(self, frame: StreamFrame) -> None:
        """Take one frame of the gateway.

        Raises:
            ProtocolError: the gateway broke a rule; the connection ends.
        """
        session = self._session
        try:
            with session.lock:
                session.receive(frame, self.clock.now())
        except StreamFailed as error:
            session.failed(str(error))  # the RESET that tells the gateway goes out with the flush
            return
        match frame:
            case Attached():
                self._on_attached()
            case Reject():
                self.clock.clear(self._on_silence)
                self._reach.rejected(frame)
            case Cancel() if session.stream.cancelled is not None:
                self._endings.cancelled()
            case _:
                pass

    def _on_attached(self) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - it has just brought this frame
        # The shortest so far is the way's own; what is more was somebody's load.
        took = self.clock.now() - self._attached_at
        connection.state.rtt = min(took, connection.state.rtt or took)
        # Of the limits that it brought one may be shorter than the alarm that is set.
        self.clock.clear(self._on_silence, self._on_tick)
        self._reach.attached(connection)

    def lost(self, reason: str, code: int | None) -> None:
        """The connection is gone: get another one, or end without."""
        connection = self.unbind()
        if self._session.stream.state is _DONE:  # its END_ACK and this loss came in one read
            self.settle()
            return
        self._endings.lost()
        self._reach.lost(reason, code, connection)

    # ------------------------------------------------------------ time

    def _arm(self, connection: Connection, stream_deadline: float | None) -> None:
        """Keep one alarm, never later than the next deadline; one that rings early arms anew."""
        now, state = self.clock.now(), connection.state
        # Whatever comes from now on, there is nothing to do before so long a silence.
        deadline = now + state.limits.ping_ms / 1000
        for when in (state.next_deadline(), stream_deadline):
            if when is not None and when < deadline:
                deadline = when
        alarm = self.clock.alarms.get(self._on_tick)
        if alarm is None or deadline < alarm[0]:
            self.clock.set(self._on_tick, deadline - now)

    def _on_tick(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            connection.state.handle_timer(self.clock.now())
        except ProtocolError as error:
            connection.give_up(error)
        else:
            self.flush()

    def _on_silence(self) -> None:
        """No answer to ATTACH: whoever keeps that connection open does not serve it."""
        if self._connection is not None:
            why = f"no answer to ATTACH in {self._session.timing.attempt:g} s"
            self._connection.give_up(RemoteProtocolError(why, close_code=CloseCode.DEAD_PEER))

    def _thawed(self) -> None:
        """Nobody was silent while nobody listened."""
        if self._connection is not None:
            self._connection.state.rearm(self.clock.now())
            self.flush()
