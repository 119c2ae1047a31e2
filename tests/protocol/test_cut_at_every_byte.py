"""A recorded session, cut after byte 0, 1, ..., n of either direction: the same body or a true error.

A WebSocket hands on whole messages, so a message is lost unless its last byte arrives.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from protocol.errors import ResetCode, StreamFailed
from protocol.frames import Attach, Attached, Data, End, EndAck, Frame, Head, Reset, Window
from protocol.receipt import Receipt
from tests.protocol.link import Link, Pipe, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

RESPONSE = random.Random(1).randbytes(300)
UPLOAD = random.Random(2).randbytes(200)
#: Short enough for a second cut after every byte.
SHORT, SHORT_UPLOAD = b"0123456789abcdefghi", b"uploaded"
Budget = tuple[int | None, int | None]


def carried(session: Session) -> tuple[int, int]:
    """Bytes that the last connection carried in each direction."""
    return session.link.up.carried, session.link.down.carried


def every_cut(session: Session) -> Iterator[Budget]:
    """A cut after each byte that the last connection of a recorded session carried."""
    up, down = carried(session)
    yield from ((byte, None) for byte in range(up + 1))
    yield from ((None, byte) for byte in range(down + 1))


def short(budgets: list[Budget], *, half_open: bool = False) -> Session:
    """A session that needs every kind of frame in few bytes."""
    session = Session(
        SHORT,
        SHORT_UPLOAD,
        budgets=budgets,
        window=8,
        write_size=5,
        appetite=4,
        half_open=half_open,
        reads_all=True,
    )
    session.run()
    session.assert_whole()
    assert bytes(session.uploaded) == SHORT_UPLOAD
    return session


@pytest.mark.parametrize("half_open", [False, True], ids=["cut", "half-open"])
@pytest.mark.parametrize("upload", [None, UPLOAD], ids=["response", "both-ways"])
@pytest.mark.fault(4, 5, 6, 7, 8)
def test_a_cut_after_every_byte_of_either_direction(upload: bytes | None, half_open: bool) -> None:
    recorded = Session(RESPONSE, upload)
    recorded.run()
    recorded.assert_whole()
    cuts, reconnected = list(every_cut(recorded)), 0
    for cut in cuts:
        session = Session(RESPONSE, upload, budgets=[cut], half_open=half_open)
        session.run()
        session.assert_whole()
        if upload is not None:
            session.uploaded += b"".join(session.function.read())
            assert bytes(session.uploaded) == upload[: len(session.uploaded)]
        reconnected += len(session.links) > 1
    assert reconnected > len(cuts) // 2


@pytest.mark.fault(34)
def test_an_upload_survives_a_cut_after_every_byte() -> None:
    """The response ends only after the whole upload was read."""

    def run(budgets: list[Budget]) -> Session:
        session = Session(b"ok", UPLOAD, budgets=budgets, reads_all=True)
        session.run()
        session.assert_whole()
        assert bytes(session.uploaded) == UPLOAD
        return session

    for cut in every_cut(run([])):
        run([cut])


class Recording(Pipe):
    """Remembers which frames were sent."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[type[Frame]] = set()

    @override
    def push(self, frames: list[Frame]) -> None:
        super().push(frames)
        self.kinds |= {type(frame) for frame in frames}


def test_the_short_session_has_every_kind_of_frame() -> None:
    session = Session(SHORT, SHORT_UPLOAD, window=8, write_size=5, appetite=4, reads_all=True)
    link = Link(session.function, session.gateway)
    link.up, link.down = up, down = Recording(), Recording()
    session.links.append(link)
    link.attach()
    session.go_on(lambda: session.done)
    assert up.kinds == {Attach, Head, Data, End, Window, EndAck}
    assert down.kinds == {Attached, Data, End, Window, EndAck}


@pytest.mark.parametrize("half_open", [False, True], ids=["cut", "half-open"])
@pytest.mark.fault(4, 5, 6, 7, 8, 34)
def test_a_second_cut_after_every_byte_of_the_resumed_connection(half_open: bool) -> None:
    """The first cut is in the middle of each message, which is all that a byte can make out."""
    twice = 0
    for first in in_every_message(short([])):
        resumed = short([first], half_open=half_open)
        if len(resumed.links) == 1:
            continue
        for second in every_cut(resumed):
            twice += len(short([first, second], half_open=half_open).links) > 2
    assert twice > 1000


def in_every_message(session: Session) -> Iterator[Budget]:
    """A cut one byte before the end of each message of a session that was not cut."""
    yield from ((end - 1, None) for end in session.link.up.ends)
    yield from ((None, end - 1) for end in session.link.down.ends)


@pytest.mark.fault(9)
def test_after_a_cut_at_every_byte_the_receipt_completes_the_body_or_says_lost() -> None:
    recorded = Session(RESPONSE)
    recorded.run()
    outcomes = [cut_and_never_back(cut) for cut in every_cut(recorded)]
    assert set(outcomes) == {"whole", "lost"}


def cut_and_never_back(cut: Budget) -> str:
    """Cut, and let the function return with what it then can say."""
    session = Session(RESPONSE, budgets=[cut])
    session.connect()
    session.go_on(lambda: session.link.broken or session.done)
    session.link.cut()
    function, gateway = session.function, session.gateway
    session.write_on()
    returned = Receipt.parse(json.loads(json.dumps(function.receipt().to_json())))
    assert returned is not None
    session.link.records += gateway.apply_receipt(returned)
    if returned.status == "end":
        session.take_records(session.link)
        assert bytes(session.received) == RESPONSE
        assert (session.heads, session.ends) == (1, 1)
        return "whole"
    (reset,) = session.link.records
    assert isinstance(reset, Reset)
    assert reset.code == ResetCode.LOST
    assert RESPONSE.startswith(session.received)
    return "lost"


class Falsifying(Pipe):
    """Changes one byte of the response on its way."""

    def __init__(self, byte: int) -> None:
        super().__init__()
        self._byte = byte

    @override
    def push(self, frames: list[Frame]) -> None:
        super().push([self._falsified(frame) for frame in frames])

    def _falsified(self, frame: Frame) -> Frame:
        if not isinstance(frame, Data) or not 0 <= self._byte - frame.offset < len(frame.data):
            return frame
        data = bytearray(frame.data)
        data[self._byte - frame.offset] ^= 1
        return replace(frame, data=bytes(data))


def falsified(byte: int) -> Session:
    session = Session(RESPONSE)
    session.links.append(Link(session.function, session.gateway))
    session.link.up = Falsifying(byte)
    session.link.attach()
    return session


@pytest.mark.fault(53)
def test_a_byte_falsified_anywhere_is_found_at_the_end() -> None:
    for byte in range(len(RESPONSE)):
        find_at_the_end(falsified(byte))


def find_at_the_end(session: Session) -> None:
    with pytest.raises(StreamFailed, match="CRC"):
        session.go_on(lambda: session.done)
    assert session.gateway.failed is ResetCode.DIVERGED
    assert not session.gateway.ended


@pytest.mark.fault(52, 53)
def test_a_byte_falsified_anywhere_is_found_at_a_resume() -> None:
    for byte in range(len(RESPONSE) - 64):  # later ones may be behind an END already
        find_at_a_resume(falsified(byte), byte)


def find_at_a_resume(session: Session, byte: int) -> None:
    session.go_on(lambda: len(session.received) > byte)
    session.link.cut()
    session.connect()
    session.link.transfer()
    (reset,) = session.link.records
    assert isinstance(reset, Reset)
    assert reset.code == ResetCode.DIVERGED
    assert session.function.receipt().code == ResetCode.DIVERGED
    assert not session.gateway.ended
