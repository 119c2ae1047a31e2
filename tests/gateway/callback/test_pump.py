"""The pump's one timer, on both event loops. Whole connections: see tests/gateway/exchange."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.callback.connections import Connections
from gateway.callback.pump import Pump
from gateway.journal.memory import MemoryJournal
from gateway.journal.store import JournalStore
from gateway.telemetry import Telemetry
from gateway.tokens import Grant
from protocol.frames import Attach, Data, Head
from protocol.limits import INITIAL_WINDOW, Limits
from tests.patience import PATIENCE

LIMITS = Limits()


class Reader:
    """Takes whatever comes."""

    def on_attached(self) -> None: ...
    def on_detached(self) -> None: ...
    def on_head(self) -> None: ...
    def on_data_frame(self) -> None: ...
    def on_readable(self) -> None: ...
    def on_ended(self) -> None: ...
    def on_failed(self, code: int, reason: str) -> None: ...


async def test_a_deadline_that_is_past_is_met_at_once() -> None:
    pump = Pump(
        web.WebSocketResponse(),
        asyncio.WriteTransport(),
        JournalStore(),
        Telemetry(),
        LIMITS,
        Connections(),
    )
    journal = MemoryJournal(
        Grant(bytes(16), 1, "t"), Reader(), window=INITIAL_WINDOW, limits=LIMITS, upload=False
    )
    journal.attach(Attach(1, bytes(16), 1, 1, "t", bytes(16), 0, 0, 4, 0, 0), pump, 0.0)
    pump._journal = journal
    journal.receive(Head(1, 200, ()), pump, 0.0)
    journal.receive(Data(1, 0, b"x"), pump, 0.0)
    journal._stream.consumed(1)
    journal._stream.due(0.0)  # the clock of the acknowledgement starts long ago
    for _ in range(3):
        pump._arm()
    async with asyncio.timeout(PATIENCE):
        await pump._outbox_ready.wait()
