"""Two exchanges at a gateway's callback, and the connections of their functions, without sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from typing_extensions import override

from gateway.callback.connections import Connections
from gateway.callback.pump import Pump
from gateway.callback.websocket import WebSocket
from gateway.crowds import Crowd
from gateway.journal.memory import MemoryJournal
from gateway.journal.store import JournalStore
from gateway.telemetry import Telemetry
from gateway.tokens import Grant
from protocol.codec import decode, encode
from protocol.limits import INITIAL_WINDOW, Limits
from tests.gateway.callback.frames import CLOSE, FIN
from tests.gateway.journal.idle import Idle
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from protocol.frames import Frame

LIMITS = Limits()
XID, NEXT = bytes(16), bytes(range(16))


class Wire(asyncio.Transport):
    """Keeps what is written, as frames; of a Close its code."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Frame | int] = []

    @override
    def is_closing(self) -> bool:
        return False

    @override
    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        data = b"".join(parts)
        while data:
            kind, size = data[0], data[1]
            message, data = data[2 : 2 + size], data[2 + size :]
            if kind == FIN | CLOSE:
                self.said.append(int.from_bytes(message[:2], "big"))
            else:
                frame = decode(message)
                assert frame is not None
                self.said.append(frame)

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writelines([data])

    @override
    def abort(self) -> None: ...


class Reader(Idle):
    """Keeps what it was told of the end."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @override
    def on_detached(self) -> None:
        self.told.append("detached")

    @override
    def on_ended(self) -> None:
        self.told.append("ended")

    @override
    def on_failed(self, code: int, reason: str) -> None:
        self.told.append("failed")


class Callback:
    """One connection of a function, as far as the gateway sees it."""

    def __init__(self, store: JournalStore, connections: Connections) -> None:
        self.wire = Wire()
        self.socket = WebSocket(self.wire, LIMITS.max_message, Crowd("callback", 1))
        self.pump = Pump(self.socket, store, Telemetry(), LIMITS, connections)
        self.socket.serve(self.pump)
        self.pump.start()

    async def takes(self, *frames: Frame) -> list[Frame | int]:
        """Let frames come in one read; return what is said in turn."""
        self.wire.said.clear()
        for frame in frames:
            self.pump.take(encode(frame))
        await settle()
        return list(self.wire.said)

    @property
    def parked(self) -> bool:
        """Whether another stream may begin here."""
        return not self.pump.active and self.pump._connection.active is None


class Desk:
    """Two exchanges that functions were called for, and their connections."""

    def __init__(self, *, upload: bool) -> None:
        self.store, self.connections = JournalStore(), Connections()
        self.reader = Reader()
        self.journal = self.open(XID, self.reader, upload=upload)
        self.next = self.open(NEXT, Reader())
        self._callbacks: list[Callback] = []

    def open(self, xid: bytes, reader: Reader, *, upload: bool = False) -> MemoryJournal:
        """Wait for a function's response."""
        journal = MemoryJournal(
            Grant(xid, 1, "t"), reader, window=INITIAL_WINDOW, limits=LIMITS, upload=upload
        )
        self.store.open(journal)
        return journal

    def callback(self) -> Callback:
        """Let a function dial."""
        self._callbacks.append(Callback(self.store, self.connections))
        return self._callbacks[-1]

    def hang_up(self) -> None:
        """Lose every connection."""
        for callback in self._callbacks:
            callback.socket.connection_lost(None)


@asynccontextmanager
async def desk(*, upload: bool = False) -> AsyncIterator[Desk]:
    """Two exchanges; the request body of the first is streamed, if so."""
    made = Desk(upload=upload)
    try:
        yield made
    finally:
        made.hang_up()
