"""What the I/O thread does for one session: dial, attach, move frames, watch the clock, park.

Everything here runs on the I/O thread. The session's lock is held while its stream is touched, never
while a socket is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lambda_client.dial import DialError, dial
from lambda_client.session import Phase
from protocol.errors import CloseCode, ProtocolError, StreamFailed

if TYPE_CHECKING:
    from lambda_client.connection import Connection
    from lambda_client.loop import IoThread
    from lambda_client.session import Session
    from protocol.frames import Attach, StreamFrame

PATIENCE_SECONDS, PATIENCE_SHARE = 10.0, 1 / 3
"""Not dialled for so long, or for this share of the time that the function has left: the response
goes into the receipt instead (protocol SPEC, attach and resume)."""

DEADLINE_SECONDS, DEADLINE_SHARE = 5.0, 0.1
"""So long before Lambda kills the function, or for this share of its time, the response is reset."""

CANCEL_GRACE = 2.0
"""Seconds that user code has to stop after a CANCEL before the gateway is told without it."""


class Pump:
    """Carries one session over one connection."""

    def __init__(self, io: IoThread, session: Session) -> None:
        self._io = io
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._leaving: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._limits_of_time: list[asyncio.TimerHandle] = []
        deadline, remaining = session.deadline, session.remaining
        if deadline is not None and remaining is not None:
            early = min(DEADLINE_SECONDS, DEADLINE_SHARE * remaining)
            self._limits_of_time.append(self._loop.call_at(deadline - early, self._out_of_time))

    # ------------------------------------------------------------ getting a connection

    def dial(self) -> None:
        """Get a connection and attach on it."""
        self._io.dialling = self._loop.create_task(self._get_connection(self._io.dialling))

    def reuse(self, connection: Connection, attach: Attach) -> None:
        """Attach on a connection that was parked, with the frame that the session made for it."""
        if connection.closed:
            self._session.redial()
            self.dial()
        else:
            self._bind(connection, attach)

    async def _get_connection(self, under_way: asyncio.Task[None] | None) -> None:
        """Dial, unless an invocation that was answered inline has left a dial `under_way`."""
        if under_way is not None and not under_way.done():
            await asyncio.wait([under_way])
        connection = self._io.take_parked()
        if connection is None:
            await self._dial()
        else:
            self._dialled(connection)
        if self._connection is None and self._session.phase is Phase.SETTLED:
            self._stop()  # answered without this dial: nothing is left to watch

    async def _dial(self) -> None:
        session = self._session
        patience = PATIENCE_SECONDS
        if session.deadline is not None:
            left = session.deadline - self._loop.time()
            patience = max(0.0, min(patience, PATIENCE_SHARE * left))
        try:
            connection = await dial(
                session.envelope, session.stream.limits, patience, lambda: session.dialling
            )
        except DialError as error:
            session.unreachable(str(error))
            return
        if connection is not None:
            self._dialled(connection)

    def _dialled(self, connection: Connection) -> None:
        with self._session.lock:
            attach = self._session.attach(self._io.next_sid())
        if attach is None:  # answered inline meanwhile: the next invocation finds it warm
            self._park(connection)
        else:
            self._bind(connection, attach)

    def _bind(self, connection: Connection, attach: Attach) -> None:
        connection.owner = self
        connection.state.open_stream(attach.sid, self._loop.time())
        self._connection = connection
        self._send(connection, [attach])

    # ------------------------------------------------------------ sending

    def flush(self) -> None:
        """Send whatever waits; afterwards the session wakes this thread for more."""
        if self._connection is not None:
            self._send(self._connection, [])

    def _send(self, connection: Connection, first: list[Attach]) -> None:
        session, now = self._session, self._loop.time()
        with session.lock:
            frames = session.frames_to_send(now, paused=connection.paused)
            over = session.stream_over
            # Nothing but a RESET may follow while the transport is full; its resume comes here again.
            deadline = None if connection.paused else session.stream.next_deadline()
        if first or frames or connection.state.has_frames:
            connection.send([*first, *frames])
        if connection.closed:
            return
        if over:
            self._leave(connection)
        else:
            self._arm(connection, deadline)

    def _leave(self, connection: Connection) -> None:
        """The stream is over on this connection: keep it for the next invocation."""
        self._stop()
        connection.state.release(self._session.sid, self._loop.time())
        self._park(connection)

    def _park(self, connection: Connection) -> None:
        """Say PARK; once the kernel has it, the environment may freeze."""
        connection.owner = None
        self._leaving = connection
        connection.state.park()
        connection.send(())
        connection.when_flushed(self._parked)

    def _parked(self) -> None:
        connection, self._leaving = self._leaving, None
        if connection is not None and not connection.closed:
            if connection.state.goaway is None:
                self._io.park(connection)
            else:
                connection.close(CloseCode.NORMAL)
        self._session.settle()

    def _stop(self) -> None:
        self._connection = None
        for timer in (self._timer, *self._limits_of_time):
            if timer is not None:
                timer.cancel()
        self._timer = None
        self._limits_of_time.clear()

    # ------------------------------------------------------------ what the connection reports

    def received(self, frame: StreamFrame) -> None:
        """Take one frame of the gateway.

        Raises:
            ProtocolError: the gateway broke a rule; the connection ends.
        """
        session = self._session
        try:
            with session.lock:
                cancelled = session.receive(frame, self._loop.time())
        except StreamFailed as error:
            session.failed(str(error))  # the RESET that tells the gateway goes out with the flush
            return
        if cancelled:
            self._limits_of_time.append(self._loop.call_later(CANCEL_GRACE, self._abandon_user))

    def lost(self, reason: str) -> None:
        """The connection is gone, and with it (until streams resume over sockets) the exchange."""
        self._stop()
        self._session.lost(reason)

    # ------------------------------------------------------------ time

    def _arm(self, connection: Connection, stream_deadline: float | None) -> None:
        """Keep one timer, never later than the next deadline; one that fires early arms anew."""
        deadline = connection.state.next_deadline()
        if deadline is None or (stream_deadline is not None and stream_deadline < deadline):
            deadline = stream_deadline
        if deadline is None or (self._timer is not None and self._timer.when() <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        connection = self._connection
        if connection is None:
            return
        try:
            connection.state.handle_timer(self._loop.time())
        except ProtocolError as error:
            connection.give_up(error)
        else:
            self.flush()

    def _out_of_time(self) -> None:
        """Break the response off while there is time to say so."""
        self._session.out_of_time()
        self.flush()

    def _abandon_user(self) -> None:
        """User code did not stop when it was cancelled: the gateway need not wait for it."""
        self._session.abandon_user()
        self.flush()

    def abandon(self) -> None:
        """Drop the connection: the invocation returns without the gateway's last word."""
        connection = self._connection or self._leaving
        self._stop()
        if connection is not None:
            self._leaving = connection.owner = None
            connection.abort()
