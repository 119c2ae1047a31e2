"""Living journals are found; dead ones for a while; neither pile up."""

import asyncio
import weakref
from dataclasses import replace

import pytest

from gateway.journal.memory import MemoryJournal
from gateway.journal.store import TOMBSTONE_SECONDS, TOMBSTONES_MAX, Buried, JournalStore
from gateway.tokens import Grant
from protocol.errors import CancelCode, RejectCode
from protocol.frames import Attach, Attached
from protocol.limits import INITIAL_WINDOW, Limits
from tests.gateway.journal.idle import Idle


def journal(number: int = 0) -> MemoryJournal:
    xid = number.to_bytes(16, "big")
    return MemoryJournal(
        Grant(xid, 1, "t"), Idle(), window=INITIAL_WINDOW, limits=Limits(), upload=False
    )


def test_a_journal_is_found_until_its_tombstone_expires() -> None:
    store, one = JournalStore(), journal(1)
    store.open(one)
    assert (store.find(one.xid), len(store)) == (one, 1)
    store.bury(one, 0.0)
    assert isinstance(store.find(one.xid), Buried)
    assert len(store) == 0
    later = journal(2)
    store.open(later)
    store.bury(later, TOMBSTONE_SECONDS + 1)
    assert store.find(one.xid) is None
    assert isinstance(store.find(later.xid), Buried)


def test_two_exchanges_cannot_share_an_id() -> None:
    store = JournalStore()
    store.open(journal(1))
    with pytest.raises(KeyError):
        store.open(journal(1))


def test_tombstones_are_bounded() -> None:
    store = JournalStore()
    for number in range(TOMBSTONES_MAX + 10):
        one = journal(number)
        store.open(one)
        store.bury(one, 0.0)
    assert store.find((0).to_bytes(16, "big")) is None
    assert isinstance(store.find((TOMBSTONES_MAX + 9).to_bytes(16, "big")), Buried)


def test_a_tombstone_refuses_whoever_comes_back_as_the_journal_would() -> None:
    store, one = JournalStore(), journal(1)
    store.open(one)
    first = Attach(1, one.xid, 1, 1, "t", bytes(16), 0, 0, 0, 0, 0)
    again, stranger = replace(first, epoch=2), replace(first, epoch=2, secret=b"s" * 16)
    assert isinstance(one.attach(first, Idle(), 1.0), Attached)
    one.cancel(CancelCode.CLIENT_GONE, "gone")
    store.bury(one, 0.0)
    buried = store.find(one.xid)
    assert isinstance(buried, Buried)
    assert buried.grant is one.grant
    refusals = [buried.tombstone.refuse(frame) for frame in (again, stranger)]
    assert refusals == [one.attach(frame, Idle(), 1.0) for frame in (again, stranger)]
    assert [one.code for one in refusals] == [RejectCode.CANCELLED, RejectCode.BAD_TOKEN]


def test_what_is_buried_is_not_kept() -> None:
    store, one = JournalStore(), journal(1)
    store.open(one)
    store.bury(one, 0.0)
    gone = weakref.ref(one)
    del one
    assert gone() is None


def test_burying_twice_changes_nothing() -> None:
    store, one = JournalStore(), journal(1)
    store.open(one)
    store.bury(one, 0.0)
    store.bury(one, 30.0)
    later = journal(2)
    store.open(later)
    store.bury(later, TOMBSTONE_SECONDS + 1)
    assert store.find(one.xid) is None


async def test_credit_for_an_upload_that_nobody_sends_any_more_is_no_error() -> None:
    grant = Grant(bytes(16), 1, "t")
    one = MemoryJournal(grant, Idle(), window=INITIAL_WINDOW, limits=Limits(), upload=True)
    sending = asyncio.create_task(one.upload(b"more"))
    await asyncio.sleep(0)
    sending.cancel()
    attach = Attach(1, bytes(16), 1, 1, "", bytes(16), 0, 0, 0, 0, INITIAL_WINDOW)
    assert isinstance(one.attach(attach, Idle(), 0.0), Attached)
    await asyncio.gather(sending, return_exceptions=True)
