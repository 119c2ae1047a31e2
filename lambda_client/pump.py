"""What the I/O thread does for one session: dial, attach, move frames, park.

Everything here runs on the I/O thread. The session's lock is held while its stream is touched, never
while a socket is.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from lambda_client.connection import Connection, DialError
from protocol.codec import decode, encode
from protocol.errors import CloseCode, ProtocolError, ResetCode
from protocol.frames import Cancel
from protocol.function_stream import FunctionState

if TYPE_CHECKING:
    from lambda_client.loop import IoThread
    from lambda_client.session import Session
    from protocol.frames import Attach, Frame

logger = logging.getLogger("dialback")

GIVE_UP_SECONDS = 10.0
"""Never dialled for so long: the response goes into the receipt (protocol SPEC, attach and resume)."""

GIVE_UP_SHARE = 1 / 3
"""Of the time that the function has left; whichever is shorter."""

BACKOFF_FIRST, BACKOFF_MAX = 0.1, 5.0
"""Seconds; full jitter, so that thousands of functions do not come back in step."""

DEADLINE_SECONDS, DEADLINE_SHARE = 5.0, 0.1
"""The response is reset so long before Lambda would kill the function; whichever is shorter."""


class Pump:
    """Carries one session over one connection."""

    def __init__(self, io: IoThread, session: Session) -> None:
        self._io = io
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        if session.remaining is not None:
            early = min(DEADLINE_SECONDS, DEADLINE_SHARE * session.remaining)
            self._deadline = self._loop.call_later(session.remaining - early, self._out_of_time)

    # ------------------------------------------------------------ getting a connection

    def dial(self) -> None:
        """Open a connection and attach on it."""
        self._dialling = asyncio.create_task(self._dial())

    def reuse(self, connection: Connection, attach: Attach) -> None:
        """Attach on a connection that was parked, with the frame that the session made for it."""
        # One more turn of the loop lets it see a goodbye that came while nobody looked.
        self._loop.call_soon(self._reuse, connection, attach)

    def _reuse(self, connection: Connection, attach: Attach) -> None:
        if connection.closed:
            self._session.redial()
            self.dial()
        else:
            self._bind(connection, attach)

    async def _dial(self) -> None:
        session, started, attempt = self._session, self._loop.time(), 0
        patience = GIVE_UP_SECONDS
        if session.remaining is not None:
            patience = min(patience, GIVE_UP_SHARE * session.remaining)
        while True:
            url = session.envelope.urls[attempt % len(session.envelope.urls)]
            try:
                connection = await Connection.dial(
                    url, session.envelope.token, session.stream.limits
                )
            except DialError as error:
                attempt += 1
                pause = random.uniform(0, min(BACKOFF_MAX, BACKOFF_FIRST * 2**attempt))  # noqa: S311
                if self._loop.time() + pause - started > patience:
                    logger.warning("no gateway could be dialled, answering without: %s", error)
                    session.unreachable(str(error))
                    return
                await asyncio.sleep(pause)
            else:
                self._dialled(connection)
                return

    def _dialled(self, connection: Connection) -> None:
        with self._session.lock:
            attach = self._session.attach(self._io.next_sid())
        if attach is None:  # it was answered inline meanwhile: the next invocation finds it warm
            self._park(connection)
        else:
            self._bind(connection, attach)

    def _bind(self, connection: Connection, attach: Attach) -> None:
        connection.owner = self
        connection.state.open_stream(attach.sid, self._loop.time())
        self._connection = connection
        connection.send([encode(attach)])
        self.flush()

    # ------------------------------------------------------------ sending

    def flush(self) -> None:
        """Send whatever waits; afterwards the session wakes this thread for more."""
        connection, now = self._connection, self._loop.time()
        if connection is None:
            return
        frames: list[Frame] = list(connection.state.frames_to_send(now))
        with self._session.lock:
            frames += self._session.frames_to_send(now)
            stream = self._session.stream
            over = stream.state is FunctionState.DONE or stream.rejected is not None
        if frames:
            connection.send(map(encode, frames))
        if over:
            self._leave(connection)
        else:
            self._arm()

    def _leave(self, connection: Connection) -> None:
        """The stream is over on this connection: keep it for the next invocation."""
        self._stop()
        connection.state.release(self._session.sid, self._loop.time())
        self._park(connection)
        self._session.settle()

    def _park(self, connection: Connection) -> None:
        connection.owner = None
        if connection.closed:
            return
        connection.state.park()
        connection.send(map(encode, connection.state.frames_to_send(self._loop.time())))
        self._io.park(connection)

    def _stop(self) -> None:
        self._connection = None
        for timer in (self._timer, self._deadline):
            if timer is not None:
                timer.cancel()

    # ------------------------------------------------------------ receiving

    def message(self, data: bytes) -> None:
        """Take one message of the gateway."""
        connection = self._connection
        if connection is None:
            return
        try:
            frame = decode(data, max_frame=self._session.stream.limits.max_frame)
            self._receive(connection, frame)
        except ProtocolError as error:
            connection.owner = None
            connection.close(int(error.close_code))
            self.lost(f"the gateway broke the protocol: {error}")
            return
        self.flush()

    def _receive(self, connection: Connection, frame: Frame | None) -> None:
        now = self._loop.time()
        wanted = None if frame is None else connection.state.receive(frame, now)
        if wanted is None:
            connection.state.heard(now)
            return
        with self._session.lock:
            self._session.stream.receive(wanted, now)
            connection.state.limits = self._session.stream.limits
            if isinstance(wanted, Cancel):
                self._session.cancelled(wanted)
            self._session.look_again()

    def lost(self, reason: str) -> None:
        """The connection is gone, and with it (until streams resume over sockets) the exchange."""
        self._stop()
        self._session.lost(reason)

    # ------------------------------------------------------------ time

    def _arm(self) -> None:
        """Keep one timer, never later than the next deadline; one that fires early arms anew."""
        deadline = self._next_deadline()
        if deadline is None or (self._timer is not None and self._timer.when() <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _next_deadline(self) -> float | None:
        if self._connection is None:
            return None
        with self._session.lock:
            deadlines = (
                self._connection.state.next_deadline(),
                self._session.stream.next_deadline(),
            )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _on_timer(self) -> None:
        self._timer = None
        connection = self._connection
        if connection is None:
            return
        try:
            connection.state.handle_timer(self._loop.time())
        except ProtocolError as error:
            connection.owner = None
            connection.close(int(CloseCode.DEAD_PEER))
            self.lost(str(error))
        else:
            self.flush()

    def _out_of_time(self) -> None:
        self._session.out_of_time(ResetCode.DEADLINE)
        self.flush()
