"""The table of bad input in SPEC.md, row by row: bytes go in, and the row's outcome comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import msgpack  # type: ignore[import-untyped]  # it ships no types
import pytest

from protocol.codec import decode, encode
from protocol.errors import CloseCode, RejectCode, RemoteProtocolError, StreamFailed
from protocol.frames import (
    Attach,
    Cancel,
    Data,
    End,
    EndAck,
    Frame,
    Head,
    Park,
    Pong,
    Reject,
    Reset,
    Window,
)
from protocol.limits import max_message
from protocol.receipt import Receipt
from tests.protocol.link import XID, Link
from tests.protocol.test_spec import table
from tests.protocol.test_two_ends import attached

if TYPE_CHECKING:
    from collections.abc import Callable

pack: Callable[[object], bytes] = msgpack.packb
HEAD = Head(1, 200, ())
ABC = Data(1, 0, b"abc")
END = End(1, 3, crc32(b"abc"))
RESET = Reset(1, 1, 0, "")
ATTACH = Attach(2, XID, 1, 2, "token", b"0123456789abcdef", 0, 0, 0, 0, 64)


class Case(NamedTuple):
    """`before` is legal and comes first; `input` is the bad input; then `outcome` holds."""

    input: list[Frame | bytes]
    outcome: object
    before: tuple[Frame, ...] = ()
    to_function: bool = False


FAILS = "fails"
IGNORED = "ignored"
_4400 = CloseCode.PROTOCOL

#: First column of SPEC.md's table -> cases. The empty ones are not these classes' business.
ROWS: dict[str, list[Case]] = {
    "a text message; too big; compressed": [
        Case([bytes(max_message(65536) + 1)], CloseCode.FRAME_TOO_LARGE),
        Case([Data(1, 0, bytes(65537))], CloseCode.FRAME_TOO_LARGE, (HEAD,)),
    ],
    "not decodable; map, float, extension; nested too deep; wrong number or type of elements; negative": [
        Case([b"\xff\x00"], _4400),
        Case([pack({1: 2})], _4400),
        Case([pack([10, 0.5])], _4400),
        Case([pack([12, msgpack.ExtType(1, b"x")])], _4400),
        Case([b"\x91" * 1000], _4400),
        Case([pack([10])], _4400),
        Case([pack([10, "1"])], _4400),
        Case([pack([10, -1])], _4400),
    ],
    "unknown type, critical; ignorable": [
        Case([pack([14, 1])], _4400),
        Case([pack([100, 1])], IGNORED),
    ],
    "a frame of the wrong direction, or out of place"
    " (DATA before HEAD, HEAD before ATTACHED, PARK after ATTACH)": [
        Case([Cancel(1, 1, "")], _4400),
        Case([HEAD], _4400, to_function=True),
        Case([ABC], _4400),
        Case([End(1, 0, 0)], _4400),
        Case([Park()], _4400),
    ],
    "a frame for a `sid` never bound; fenced, rejected or over": [
        Case([replace(HEAD, sid=9)], _4400),
        Case([replace(ATTACH, xid=bytes(16)), replace(HEAD, sid=2)], IGNORED),
        Case([EndAck(9, 0)], _4400, to_function=True),
    ],
    "ATTACH with a `sid` that does not rise": [Case([replace(ATTACH, sid=1)], _4400)],
    "ATTACH with a bad token; another xid; over; stale": [
        Case([replace(ATTACH, secret=bytes(16))], RejectCode.BAD_TOKEN),
        Case([replace(ATTACH, xid=bytes(16))], RejectCode.UNKNOWN),
        Case([ATTACH], RejectCode.TERMINAL, (Reset(1, 1, 0, ""),)),
        Case([replace(ATTACH, epoch=1)], RejectCode.STALE),
        Case(
            [replace(ATTACH, sid=sid, secret=bytes(16)) for sid in (2, 3, 4)],
            CloseCode.UNAUTHENTICATED,
        ),
    ],
    "HEAD twice, the same; different": [
        Case([HEAD], IGNORED, (HEAD,)),
        Case([replace(HEAD, status=201)], FAILS, (HEAD,)),
    ],
    "DATA after a gap; DATA without bytes": [
        Case([Data(1, 4, b"x")], _4400, (HEAD, ABC)),
        Case([pack([4, 1, 3, b""])], _4400, (HEAD, ABC)),
        Case([Data(1, 4, b"x")], _4400, to_function=True),
    ],
    "DATA beyond the credit; DATA or another END after END; resent bytes that differ (CRC)": [
        Case([Data(1, 3, bytes(62))], FAILS, (HEAD, ABC)),
        Case([Data(1, 3, b"d")], FAILS, (HEAD, ABC, END)),
        Case([End(1, 4, 0)], FAILS, (HEAD, ABC, END)),
        Case([Data(1, 3, b"d"), End(1, 4, crc32(b"abxd"))], FAILS, (HEAD, ABC)),
    ],
    "CANCEL after END; unknown PONG; a WINDOW that goes backwards": [
        Case([Pong(77)], IGNORED),
        Case([Pong(77)], IGNORED, to_function=True),
        Case([Window(1, 0, 0)], IGNORED),
    ],
    "WINDOW or END_ACK for a request body once the exchange is over": [
        Case([Window(1, 4, 8)], IGNORED, (RESET,)),
        Case([EndAck(1, 4)], IGNORED, (RESET,)),
    ],
    "a third error of 4400 within one exchange": [],
    "more than 20 refused ATTACHes in 1 s (of exchanges that are over: 1,000), 50 RESETs of no active stream in 10 s": [
        Case([replace(ATTACH, sid=sid, xid=bytes(16)) for sid in range(2, 30)], CloseCode.TOO_FAST),
        Case([RESET] * 52, CloseCode.TOO_FAST),
    ],
    "more than 1,000 WebSocket frames at once that are no whole message: control frames, fragments": [],
    "a receipt of another xid or inv, or after END": [],
}


def feed(link: Link, case: Case) -> list[Reject]:
    """Hand the bad input to its receiver; returns the REJECTs that it caused."""
    if any(isinstance(frame, Attach) for frame in case.input):
        link.gateway_connection.release(1, 0.0)
    for item in case.input:
        message = item if isinstance(item, bytes) else encode(item)
        if decode(message) is None:
            continue
        if case.to_function:
            link.down.messages.append(message)
            link.deliver_down()
        else:
            link.up.messages.append(message)
            link.deliver_up()
    return [answer for answer in link.answers if isinstance(answer, Reject)]


def state(link: Link) -> tuple[Any, ...]:
    gateway, function = link.gateway, link.function
    return (
        gateway.position,
        gateway.head,
        gateway.ended,
        gateway.failed,
        gateway.pair,
        function.state,
    )


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=row) for row, cases in ROWS.items() for case in cases]
)
def test_row(case: Case) -> None:
    link = attached(body="stream" if case.to_function else "inline")
    for frame in case.before:
        link.up.push([frame])
        link.deliver_up()
    before = state(link)
    link.records.clear()
    if isinstance(case.outcome, CloseCode):
        with pytest.raises(RemoteProtocolError) as caught:
            feed(link, case)
        assert caught.value.close_code is case.outcome
        assert link.gateway.failed is None
    elif case.outcome is FAILS:
        with pytest.raises(StreamFailed):
            feed(link, case)
        assert link.gateway.failed is not None
    elif isinstance(case.outcome, RejectCode):
        assert [reject.code for reject in feed(link, case)] == [case.outcome]
        assert state(link) == before
    else:
        feed(link, case)
        assert state(link) == before
        assert not link.records


def test_the_rows_are_those_of_the_document() -> None:
    assert list(ROWS) == [row[0] for row in table("input")]


def test_a_third_error_fails_the_exchange() -> None:
    link = attached()
    for sid in (1, 2, 3):
        link.up.push([Data(sid, 0, b"x")])
        with pytest.raises(RemoteProtocolError) as caught:
            link.deliver_up()
        link.cut()
        assert isinstance(caught.value, StreamFailed) is (sid == 3)
        link = Link(link.function, link.gateway, sid=sid + 1)
        link.attach()
        link.transfer()
    assert link.function.rejected is not None
    assert link.function.rejected.code == RejectCode.TERMINAL


def test_a_receipt_that_is_not_wanted_is_ignored() -> None:
    link = attached()
    for frame in (HEAD, ABC, END):
        link.up.push([frame])
    link.deliver_up()
    for receipt in (
        Receipt("ab" * 16, 1, "end", None, 3, END.crc),
        Receipt(XID.hex(), 2, "end", None, 3, END.crc),
        Receipt(XID.hex(), 1, "end", None, 4, 0),
    ):
        assert link.gateway.apply_receipt(receipt) == []
    assert link.gateway.ended
    assert link.gateway.failed is None
