"""One callback connection: socket -> protocol connection -> journal, and back.

The reader never waits for the writer or for a consumer: flow control is the journal's credit. One task
writes, woken by the journal or by the one timer that stands for every deadline of the connection.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import WSMsgType

from protocol.codec import decode, encode
from protocol.connection import GatewayConnection
from protocol.errors import CloseCode, ProtocolError, RejectCode
from protocol.frames import Attach, Attached, Park, Reject

if TYPE_CHECKING:
    from aiohttp import WSMessage, web

    from gateway.journal.memory import MemoryJournal
    from gateway.journal.store import JournalStore
    from gateway.telemetry import Telemetry
    from protocol.frames import Frame, StreamFrame
    from protocol.limits import Limits

log = logging.getLogger("dialback.callback")

PREFIX_LOGGED = (
    32  # bytes of an undecodable message shown in the log: enough to recognise a peer's bug
)


class Pump:
    """Runs one WebSocket from its upgrade to its end."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        store: JournalStore,
        telemetry: Telemetry,
        limits: Limits,
    ) -> None:
        self._socket = socket
        self._store = store
        self._telemetry = telemetry
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._connection = GatewayConnection(limits, self._loop.time())
        self._journal: MemoryJournal | None = None
        self._sid = 0
        self._answer: Attached | None = None
        self._outbox_ready = asyncio.Event()
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0  # kept here: what uvloop returns for a time that is past cannot tell
        self._closing: CloseCode | None = None

    # ------------------------------------------------------------ what the journal calls

    def outbox_changed(self) -> None:
        """Wake the writing task if it has something to do, or see that it will be in time."""
        now = self._loop.time()
        if self._connection.has_frames or (self._journal is not None and self._journal.due(now)):
            self._outbox_ready.set()
        else:
            self._arm()

    def superseded(self) -> None:
        """Close: the function has a newer connection for this exchange."""
        self._journal = None
        self._close(CloseCode.SUPERSEDED)

    # ------------------------------------------------------------ life

    async def run(self) -> None:
        """Serve the connection until it ends, for whatever reason."""
        writer = asyncio.create_task(self._write())
        try:
            await self._read()
        finally:
            writer.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self._leave()
            await self._socket.close(code=self._closing or CloseCode.NORMAL)

    async def go_away(self) -> None:
        """Close from our side: the gateway stops."""
        self._close(CloseCode.GOING_AWAY)

    def _close(self, code: CloseCode) -> None:
        if self._closing is None:
            self._closing = code
            self._outbox_ready.set()

    # ------------------------------------------------------------ reading

    async def _read(self) -> None:
        while self._closing is None:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                self._take(message.data)
            elif message.type is WSMsgType.TEXT:
                self._close(CloseCode.UNSUPPORTED_DATA)
            elif message.type not in (WSMsgType.PING, WSMsgType.PONG):
                self._log_end(message)
                return

    def _take(self, data: bytes) -> None:
        now = self._loop.time()
        try:
            frame = decode(data, max_frame=self._limits.max_frame)
            if frame is None:
                self._connection.heard(now)
            elif (wanted := self._connection.receive(frame, now)) is not None:
                self._route(wanted, now)
        except ProtocolError as error:
            log.warning("callback broke the protocol: %s [%s]", error, data[:PREFIX_LOGGED].hex())
            self._close(error.close_code)
        self.outbox_changed()

    def _route(self, frame: StreamFrame | Park, now: float) -> None:
        match frame:
            case Attach():
                self._attach(frame, now)
            case Park():
                self._leave()
            case _:
                if self._journal is not None:
                    self._journal.receive(frame, self, now)
                    self._release_if_over(now)

    def _attach(self, frame: Attach, now: float) -> None:
        self._leave()
        answer = self._admit(frame, now)
        if isinstance(answer, Reject):
            self._telemetry.attach("rejected")
            log.info("callback refused: %s", answer)
            self._connection.refuse(answer, now)
        else:
            self._telemetry.attach("accepted")
            self._connection.accept(frame.sid, now)
            self._sid = frame.sid
            self._answer = answer
        self._outbox_ready.set()

    def _leave(self) -> None:
        """The stream that was bound here is over on this connection, or left behind."""
        if self._journal is not None:
            self._journal.detach(self)
            self._journal = None

    def _release_if_over(self, now: float) -> None:
        """Let the connection carry another stream once this one has done its part."""
        if self._journal is not None and self._journal.over:
            self._connection.release(self._sid, now)
            self._leave()

    def _admit(self, frame: Attach, now: float) -> Attached | Reject:
        journal = self._store.find(frame.xid)
        if journal is None:
            return _reject(frame, RejectCode.UNKNOWN, "no such exchange here")
        if not journal.grant.admits(frame.inv, frame.token):
            return _reject(frame, RejectCode.BAD_TOKEN, "the token is for another exchange")
        answer = journal.attach(frame, self, now)
        if isinstance(answer, Attached):
            self._journal = journal
        return answer

    # ------------------------------------------------------------ writing

    async def _write(self) -> None:
        try:
            while self._closing is None:
                await self._outbox_ready.wait()
                self._outbox_ready.clear()
                for frame in self._waiting_frames(self._loop.time()):
                    await self._socket.send_bytes(encode(frame))
                self._arm()
        except OSError as error:
            log.info("callback lost while writing: %s", error)
        await self._socket.close(code=self._closing or CloseCode.INTERNAL)

    def _waiting_frames(self, now: float) -> list[Frame]:
        frames = self._connection.frames_to_send(now)
        if self._answer is not None:
            frames.append(self._answer)
            self._answer = None
        if self._journal is not None:
            frames += self._journal.frames_to_send(now)
            self._release_if_over(now)
        return frames

    def _next_deadline(self) -> float | None:
        deadline = self._connection.next_deadline()
        if self._journal is not None:
            other = self._journal.next_deadline()
            if deadline is None or (other is not None and other < deadline):
                deadline = other
        return deadline

    def _arm(self) -> None:
        """Keep one timer, never later than the next deadline; one that fires early arms anew."""
        deadline = self._next_deadline()
        if deadline is None or (self._timer is not None and self._timer_due <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = deadline
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self._connection.handle_timer(self._loop.time())
        except ProtocolError as error:
            log.info("callback ended: %s", error)
            self._close(error.close_code)
        self._outbox_ready.set()

    def _log_end(self, message: WSMessage) -> None:
        if message.type is WSMsgType.ERROR:
            log.info("callback lost: %s", message.data)


def _reject(frame: Attach, code: RejectCode, message: str) -> Reject:
    return Reject(sid=frame.sid, code=code, retry_ms=None, message=message, url=None)
