"""A function that leaves with its END: whatever it says before, with and after that, its connection is parked or closed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from zlib import crc32

import pytest

from protocol import connection
from protocol.errors import CancelCode, CloseCode, RejectCode, StreamFailed
from protocol.frames import (
    Attach,
    Attached,
    Cancel,
    Data,
    End,
    EndAck,
    EndFlag,
    Frame,
    Goaway,
    Head,
    Reject,
    Reset,
    Window,
)
from protocol.limits import INITIAL_WINDOW
from protocol.receipt import Receipt
from tests.gateway.callback.desk import NEXT, XID, Callback, Reader, desk
from tests.patience import PATIENCE
from tests.settling import settle

ATTACH = Attach(1, XID, 1, 1, "t", bytes(16), 0, 0, 0, 0, INITIAL_WINDOW)
HEAD = Head(1, 200, ())
ABC = Data(1, 0, b"abc")
END = End(1, 3, crc32(b"abc"))
PARTING = replace(END, flags=EndFlag.PARTING)
OTHER = replace(PARTING, crc=1)
NEXT_ATTACH = replace(ATTACH, sid=2, xid=NEXT)
RECEIPT = Receipt(XID.hex(), 1, "end", None, 3, END.crc, head=(200, ()), tail=(0, b"abc"))


async def is_parked(callback: Callback) -> bool:
    """Whether the next stream is served there."""
    (answer,) = await callback.takes(NEXT_ATTACH)
    return isinstance(answer, Attached) and answer.sid == NEXT_ATTACH.sid


# ----------------------------------------------------------------------- with it, and behind it


async def test_all_of_two_exchanges_in_one_read_leave_one_answer() -> None:
    async with desk() as at:
        callback = at.callback()
        (answer,) = await callback.takes(ATTACH, HEAD, ABC, PARTING, NEXT_ATTACH)
        assert isinstance(answer, Attached)
        assert answer.sid == NEXT_ATTACH.sid
        assert at.reader.told == ["ended"]
        await callback.takes(replace(HEAD, sid=2), replace(ABC, sid=2), replace(PARTING, sid=2))
        assert at.next.ended


async def test_who_waits_for_the_answer_attaches_too_early_in_the_same_read() -> None:
    async with desk() as at:
        said = await at.callback().takes(ATTACH, HEAD, ABC, END, NEXT_ATTACH)
        assert [type(frame) for frame in said] == [Reject, Attached, EndAck]
        assert isinstance(said[0], Reject)
        assert (said[0].sid, said[0].code) == (2, RejectCode.LIMIT)
        assert at.reader.told == ["ended"]


async def test_what_comes_behind_it_for_the_same_stream_is_dropped() -> None:
    async with desk() as at:
        callback = at.callback()
        rest = PARTING, END, OTHER, HEAD, replace(ABC, data=b"xyz"), Data(1, 3, b"more")
        assert await callback.takes(ATTACH, HEAD, ABC, PARTING, *rest, Reset(1, 1, 3, "")) == []
        assert at.reader.told == ["ended"]
        assert at.journal.read_body() == [b"abc"]
        assert await is_parked(callback)


async def test_of_its_flags_those_that_are_not_known_mean_nothing() -> None:
    async with desk() as at:
        callback = at.callback()
        said = await callback.takes(ATTACH, HEAD, ABC, replace(END, flags=6))
        assert said[1:] == [EndAck(1, 3)]
    async with desk() as at:
        assert await at.callback().takes(ATTACH, HEAD, ABC, replace(END, flags=7)) == []


async def test_a_first_end_that_waited_is_not_answered_once_the_second_does_not() -> None:
    async with desk() as at:
        callback = at.callback()
        assert await callback.takes(ATTACH, HEAD, ABC, END, PARTING) == []
        assert at.reader.told == ["ended"]
        assert await is_parked(callback)


# ----------------------------------------------------------------------- the receipt


@pytest.mark.parametrize("before", range(5))
async def test_the_receipt_comes_at_any_moment_and_all_is_there_once(before: int) -> None:
    frames: list[Frame] = [ATTACH, HEAD, ABC, PARTING]
    async with desk() as at:
        callback = at.callback()
        await callback.takes(*frames[:before])
        at.journal.apply_receipt(RECEIPT)
        said = await callback.takes(*frames[before:])
        assert at.reader.told == ["ended"]
        assert at.journal.read_body() == [b"abc"]
        assert [type(frame) for frame in said] == ([Reject] if before == 0 else [])
        assert await is_parked(callback)


async def test_what_many_receipts_have_overtaken_is_no_flood() -> None:
    """As when a packet of a busy function's callback had to be sent again."""
    async with desk() as at:
        late: list[Frame] = []
        for sid in range(3, 103):
            xid = sid.to_bytes(16, "big")
            journal = at.open(xid, Reader())
            journal.apply_receipt(replace(RECEIPT, xid=xid.hex()))
            at.store.bury(journal, asyncio.get_running_loop().time())
            late += [replace(ATTACH, sid=sid, xid=xid), replace(HEAD, sid=sid)]
            late += [replace(ABC, sid=sid), replace(PARTING, sid=sid)]
        *said, answer = await at.callback().takes(*late, replace(NEXT_ATTACH, sid=103))
        assert {one.code for one in said if isinstance(one, Reject)} == {RejectCode.TERMINAL}
        assert len(said) == 100
        assert isinstance(answer, Attached)


@pytest.mark.parametrize("other", [OTHER, replace(PARTING, final=4), replace(OTHER, flags=0)])
async def test_an_end_that_is_not_its_receipts_takes_nothing_back(other: End) -> None:
    async with desk() as at:
        callback = at.callback()
        await callback.takes(ATTACH, HEAD)
        at.journal.apply_receipt(RECEIPT)
        assert await callback.takes(ABC, other) == [CloseCode.PROTOCOL]
        assert at.journal.ended
        assert at.reader.told == ["ended", "failed", "detached"]  # the rest comes too late
        assert at.journal.read_body() == [b"abc"]


@pytest.mark.parametrize(
    "changes", [{"crc": 1}, {"final": 5}, {"tail": (0, b"xyz")}, {"tail": (9, b"x")}]
)
async def test_a_receipt_that_is_not_its_ends_says_nothing(changes: dict[str, Any]) -> None:
    async with desk() as at:
        await at.callback().takes(ATTACH, HEAD, ABC, PARTING)
        at.journal.apply_receipt(replace(RECEIPT, **changes))
        assert at.reader.told == ["ended"]
        assert at.journal.read_body() == [b"abc"]


# ----------------------------------------------------------------------- where nobody wants it


@pytest.mark.parametrize("told", [True, False])
async def test_a_response_that_is_cancelled_leaves_its_connection_parked(*, told: bool) -> None:
    async with desk() as at:
        callback = at.callback()
        await callback.takes(ATTACH, HEAD)
        callback.wire.said.clear()
        at.journal.cancel(CancelCode.CLIENT_GONE, "")
        if told:
            await settle()
            assert [type(frame) for frame in callback.wire.said] == [Cancel]
        assert await callback.takes(ABC, PARTING) == []
        assert at.reader.told == []
        assert await is_parked(callback)


async def test_an_exchange_that_is_over_leaves_its_connection_parked() -> None:
    async with desk() as at:
        callback = at.callback()
        await callback.takes(ATTACH, HEAD)
        at.journal.close()
        assert await callback.takes(ABC, PARTING) == []
        assert at.reader.told == []
        assert await is_parked(callback)


async def test_a_response_that_has_failed_leaves_its_connection_parked() -> None:
    async with desk() as at:
        callback = at.callback()
        await callback.takes(ATTACH, HEAD)
        with pytest.raises(StreamFailed):
            at.journal.apply_receipt(replace(RECEIPT, crc=1))
        assert await callback.takes(ABC, PARTING) == []
        assert at.reader.told == []
        assert not at.journal.ended
        assert await is_parked(callback)


async def test_a_connection_that_has_been_superseded_ends_nothing() -> None:
    async with desk() as at:
        first, second = at.callback(), at.callback()
        await first.takes(ATTACH, HEAD)
        await second.takes(replace(ATTACH, epoch=2, flags=1))
        await first.takes(ABC, PARTING)
        assert at.reader.told == []
        assert second.pump.active
        said = await second.takes(ABC, END)
        assert said == [EndAck(1, 3)]
        assert at.reader.told == ["ended"]


async def test_what_a_refused_attach_brought_is_dropped() -> None:
    async with desk() as at:
        callback = at.callback()
        said = await callback.takes(replace(ATTACH, token="another"), HEAD, ABC, PARTING)
        assert [type(frame) for frame in said] == [Reject]
        assert at.reader.told == []
        assert await is_parked(callback)


# ----------------------------------------------------------------------- where it is wrong


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ((PARTING,), ["detached"]),
        ((HEAD, PARTING), ["failed", "detached"]),
        ((HEAD, ABC, OTHER), ["failed", "detached"]),
        ((HEAD, ABC, replace(PARTING, final=2)), ["failed", "detached"]),
        (
            (replace(HEAD, headers=((b"content-length", b"9"),)), ABC, PARTING),
            ["failed", "detached"],
        ),
        ((HEAD, ABC, replace(PARTING, sid=2)), ["detached"]),
    ],
    ids=["no head", "no body", "crc", "length", "content-length", "stream"],
)
async def test_one_that_is_wrong_closes_its_connection(
    frames: tuple[Frame, ...], told: list[str]
) -> None:
    async with desk() as at:
        callback = at.callback()
        assert await callback.takes(ATTACH, *frames, NEXT_ATTACH) == [CloseCode.PROTOCOL]
        assert at.reader.told == told
        assert not at.journal.ended
        assert not callback.pump.active


# ----------------------------------------------------------------------- what else is under way


async def test_a_request_body_that_still_flows_stops() -> None:
    async with desk(upload=True) as at:
        callback = at.callback()
        await callback.takes(replace(ATTACH, req_max=4))
        rest = asyncio.create_task(at.journal.upload(b"more than four"))
        await settle()
        assert await callback.takes(Window(1, 4, 8), HEAD, ABC, PARTING) == []
        assert at.reader.told == ["ended"]
        assert await is_parked(callback)
        assert not rest.done()
        at.journal.close()
        with pytest.raises(asyncio.CancelledError):
            await rest


async def test_while_the_gateway_goes_down_its_connection_ends_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "GOAWAY_IDLE", PATIENCE)  # not before it is looked at
    async with desk() as at:
        callback = at.callback()
        await callback.takes(ATTACH, HEAD, ABC)
        at.connections.drain(20.0)
        assert [type(frame) for frame in await callback.takes(PARTING)] == [Goaway]
        assert callback.parked
        deadline = callback.pump._connection.next_deadline()
        assert deadline is not None
        assert deadline <= asyncio.get_running_loop().time() + PATIENCE
