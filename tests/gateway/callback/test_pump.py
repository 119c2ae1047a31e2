"""The pump's one timer, on both event loops. Whole connections: see tests/gateway/exchange."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from gateway.callback import connections
from gateway.callback.connections import Connections
from gateway.callback.pump import Pump
from gateway.callback.websocket import WebSocket
from gateway.crowds import Crowd
from gateway.journal.memory import MemoryJournal
from gateway.journal.store import JournalStore
from gateway.telemetry import Telemetry
from gateway.tokens import Grant
from protocol.codec import decode, encode
from protocol.frames import Attach, Attached, AttachFlag, Data, End, EndFlag, Head, Ping, Pong
from protocol.limits import INITIAL_WINDOW, KIB, Limits
from tests.gateway.journal.idle import Idle
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS = Limits()
WINDOW = 0x94, 0x07  # an array of four, type 7


@pytest.fixture(autouse=True)
def a_long_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a fresh ATTACH waits until a test lets time pass."""
    monkeypatch.setattr(connections, "ANSWER_SECONDS", PATIENCE)


class Wire(asyncio.Transport):
    """Keeps what is written: short messages, which are two bytes of WebSocket and then a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    @property
    def messages(self) -> list[bytes]:
        found, rest = [], self.written
        while rest:
            end = 2 + rest[1]
            found.append(rest[2:end])
            rest = rest[end:]
        return found

    @property
    def kinds(self) -> list[type]:
        return [type(decode(message)) for message in self.messages]

    @override
    def is_closing(self) -> bool:
        return False

    @override
    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        self.written += b"".join(parts)

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writelines([data])

    @override
    def abort(self) -> None: ...


def bound(window: int, *, upload: bool = False) -> tuple[Pump, MemoryJournal, Wire]:
    """A pump without a socket, and the journal that an ATTACH and a HEAD have bound to it."""
    wire = Wire()
    pump = Pump(
        WebSocket(wire, LIMITS.max_message, Crowd("callback", 1)),
        JournalStore(),
        Telemetry(),
        LIMITS,
        Connections(),
    )
    journal = MemoryJournal(
        Grant(bytes(16), 1, "t"), Idle(), window=window, limits=LIMITS, upload=upload
    )
    journal.attach(Attach(1, bytes(16), 1, 1, "t", bytes(16), 0, 0, 4, 0, 0), pump, 0.0)
    pump._journal = journal
    journal.receive(Head(1, 200, ()), pump, 0.0)
    return pump, journal, wire


async def test_a_deadline_that_is_past_is_met_at_once() -> None:
    pump, journal, wire = bound(INITIAL_WINDOW)
    journal.receive(Data(1, 0, b"x"), pump, 0.0)
    journal._stream.consumed(1)
    journal._stream.due(0.0)  # the clock of the acknowledgement starts long ago
    for _ in range(3):
        pump._arm(pump._next_deadline())
    async with asyncio.timeout(PATIENCE):
        while not wire.messages:
            await asyncio.sleep(0)
    assert tuple(wire.messages[0][:2]) == WINDOW
    pump.lost(None)


async def test_one_who_has_used_up_its_credit_is_told_at_once_of_some_that_was_kept_back() -> None:
    window, taken = 8 * KIB, 2 * KIB
    pump, journal, wire = bound(window)
    pump._connection.accept(1, asyncio.get_running_loop().time())
    pump.take(encode(Data(1, 0, bytes(taken))))
    journal.taken(taken)
    await settle()
    assert not wire.messages, "a quarter of a window is not worth a frame yet"
    pump.take(encode(Data(1, taken, bytes(KIB))))
    await settle()
    assert not wire.messages, "nor is it while the function has more"
    pump.take(encode(Data(1, taken + KIB, bytes(window - taken - KIB))))
    await settle()
    assert [tuple(message[:2]) for message in wire.messages] == [WINDOW]
    pump.lost(None)


async def test_an_end_that_waits_for_nothing_gets_no_answer_and_frees_its_connection() -> None:
    pump, journal, wire = bound(INITIAL_WINDOW)
    pump._connection.accept(1, asyncio.get_running_loop().time())
    pump._sid = 1
    pump.take(encode(End(1, 0, 0, flags=EndFlag.PARTING)))
    await settle()
    assert journal.ended
    assert not pump.active
    assert pump._connection.active is None
    assert not wire.messages
    pump.lost(None)


def attaching(flags: int, *, upload: bool = False) -> tuple[Pump, MemoryJournal, Wire]:
    """A pump, and the journal that an ATTACH with these flags has just been sent for."""
    pump, journal, wire = bound(INITIAL_WINDOW, upload=upload)
    pump._leave()
    pump._store.open(journal)
    sent = AttachFlag.HEAD_SENT | flags
    pump.take(encode(Attach(2, bytes(16), 1, 2, "t", bytes(16), 0, 0, sent, 0, 0)))
    return pump, journal, wire


@pytest.mark.steered
async def test_an_attach_is_not_answered_either_if_nobody_waits_for_that_any_more() -> None:
    pump, journal, wire = attaching(AttachFlag.FRESH)
    assert pump.active
    await settle()
    pump.take(encode(End(2, 0, 0, flags=EndFlag.PARTING)))
    await settle()
    assert journal.ended
    assert not wire.messages
    assert not pump._connections.unanswered._due
    pump.lost(None)


@pytest.mark.steered
async def test_a_fresh_attach_is_answered_after_a_moment() -> None:
    pump, _, wire = attaching(AttachFlag.FRESH)
    await settle()
    assert not wire.messages
    await pass_time(PATIENCE)
    assert wire.kinds == [Attached]
    pump.lost(None)


async def test_a_fresh_attach_is_answered_along_with_what_is_said_sooner() -> None:
    pump, _, wire = attaching(AttachFlag.FRESH)
    pump.take(encode(Ping(7)))
    await settle()
    assert wire.kinds == [Pong, Attached]
    pump.lost(None)


@pytest.mark.steered
async def test_a_fresh_attach_is_answered_at_once_where_a_request_body_follows() -> None:
    pump, _, wire = attaching(AttachFlag.FRESH, upload=True)
    await settle()
    assert wire.kinds == [Attached]
    pump.lost(None)


async def test_any_other_attach_is_answered_at_once() -> None:
    pump, _, wire = attaching(0)
    await settle()
    assert wire.kinds == [Attached]
    pump.lost(None)


async def test_a_connection_that_is_lost_answers_nothing() -> None:
    pump, _, wire = attaching(AttachFlag.FRESH)
    unanswered = pump._connections.unanswered
    assert unanswered._due
    pump.lost(None)
    assert not unanswered._due
    assert not wire.messages
