"""The pump's one timer, on both event loops. Whole connections: see tests/gateway/exchange."""

from __future__ import annotations

import asyncio
from functools import partial

from aiohttp import web

from gateway.callback.connections import Connections
from gateway.callback.framing import FrameWriter
from gateway.callback.pump import Pump
from gateway.journal.memory import MemoryJournal
from gateway.journal.store import JournalStore
from gateway.telemetry import Telemetry
from gateway.tokens import Grant
from protocol.codec import encode
from protocol.errors import CloseCode
from protocol.frames import Attach, Data, Head
from protocol.limits import INITIAL_WINDOW, KIB, Limits
from tests.gateway.journal.idle import Idle
from tests.patience import PATIENCE

LIMITS = Limits()


def bound(window: int) -> tuple[Pump, MemoryJournal]:
    """A pump without a socket, and the journal that an ATTACH and a HEAD have bound to it."""
    pump = Pump(
        web.WebSocketResponse(),
        FrameWriter(asyncio.WriteTransport(), partial(asyncio.sleep, 0)),
        JournalStore(),
        Telemetry(),
        LIMITS,
        Connections(),
    )
    journal = MemoryJournal(
        Grant(bytes(16), 1, "t"), Idle(), window=window, limits=LIMITS, upload=False
    )
    journal.attach(Attach(1, bytes(16), 1, 1, "t", bytes(16), 0, 0, 4, 0, 0), pump, 0.0)
    pump._journal = journal
    journal.receive(Head(1, 200, ()), pump, 0.0)
    return pump, journal


async def test_a_deadline_that_is_past_is_met_at_once() -> None:
    pump, journal = bound(INITIAL_WINDOW)
    journal.receive(Data(1, 0, b"x"), pump, 0.0)
    journal._stream.consumed(1)
    journal._stream.due(0.0)  # the clock of the acknowledgement starts long ago
    for _ in range(3):
        pump._arm()
    async with asyncio.timeout(PATIENCE):
        await pump._outbox_ready.wait()


async def test_one_who_has_used_up_its_credit_is_told_at_once_of_some_that_was_kept_back() -> None:
    window, taken = 8 * KIB, 2 * KIB
    pump, journal = bound(window)
    pump._connection.accept(1, asyncio.get_running_loop().time())
    pump._take(encode(Data(1, 0, bytes(taken))))
    journal.taken(taken)
    assert not pump._outbox_ready.is_set(), "a quarter of a window is not worth a frame yet"
    pump._take(encode(Data(1, taken, bytes(KIB))))
    assert not pump._outbox_ready.is_set(), "nor is it while the function has more"
    pump._take(encode(Data(1, taken + KIB, bytes(window - taken - KIB))))
    assert pump._outbox_ready.is_set()
    pump.close(CloseCode.NORMAL)
