from __future__ import annotations

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.frames import Data
from protocol.limits import MAX_WINDOW
from protocol.sender import Sender

FRAME = 4096


def filled(*writes: bytes, maximum: int = 1 << 20) -> Sender:
    sender = Sender(FRAME, maximum)
    for data in writes:
        assert sender.write(data) == len(data)
    return sender


def taken(sender: Sender) -> list[tuple[int, bytes]]:
    frames = [frame for frame in sender.data_to_send(7) if isinstance(frame, Data)]
    assert all(frame.sid == 7 and len(frame.data) <= sender.max_frame for frame in frames)
    return [(frame.offset, frame.data) for frame in frames]


def take_all(sender: Sender) -> bytes:
    return b"".join(data for _, data in taken(sender))


def test_writes_that_wait_together_travel_together() -> None:
    sender = filled(b"a", b"bc", b"def")
    assert sender.ready
    assert taken(sender) == [(0, b"abcdef")]
    assert taken(sender) == []
    sender.write(b"g")
    assert taken(sender) == [(6, b"g")]


def test_pieces_end_at_the_frame_size() -> None:
    sender = filled(bytes(FRAME - 1), b"ab", bytes(2 * FRAME))
    assert [len(data) for _, data in taken(sender)] == [FRAME - 1, 2, FRAME, FRAME]


def test_a_write_takes_what_credit_allows() -> None:
    sender = Sender(FRAME, 5)
    assert sender.write(b"abcdefg") == 5
    assert sender.room == 0
    assert sender.write(b"x") == 0
    assert sender.write(b"") == 0
    assert take_all(sender) == b"abcde"
    sender.acknowledge(3, 8)
    assert sender.room == 3


def test_a_mutable_write_is_copied() -> None:
    data = bytearray(b"abc")
    sender = filled(data)  # type: ignore[arg-type]
    data[0] = 0
    assert taken(sender) == [(0, b"abc")]


def test_a_large_write_is_not_copied_and_its_pieces_stay() -> None:
    whole = bytes(range(256)) * 64
    sender = filled(whole)
    pieces = [memoryview(data) for _, data in taken(sender)]
    assert all(piece.obj is whole for piece in pieces)
    assert b"".join(pieces) == whole
    sender.rewind(5000)
    assert take_all(sender) == whole[5000:]
    assert sender.tail() == (0, whole)


def test_the_rest_of_a_large_write_goes_on_with_what_follows() -> None:
    whole = bytes(FRAME) + b"abc"
    sender = filled(whole, b"def", b"g")
    assert take_all(sender) == whole + b"defg"
    assert sender.tail() == (0, whole + b"defg")


def test_a_large_mutable_write_is_copied() -> None:
    data = bytearray(2 * FRAME)
    sender = filled(memoryview(data))  # type: ignore[arg-type]
    data[:] = b"x" * len(data)
    assert take_all(sender) == bytes(2 * FRAME)


def test_a_little_that_is_in_flight_keeps_no_huge_write_alive() -> None:
    huge = bytes(MAX_WINDOW + 1)
    sender = Sender(FRAME, MAX_WINDOW)
    sender.write(memoryview(huge)[-2 * FRAME :])
    assert [type(data) for _, data in taken(sender)] == [bytes, bytes]


def test_allow_lets_the_producer_run_ahead_of_credit() -> None:
    sender = Sender(FRAME, 2)
    sender.allow(6)
    sender.allow(1)
    assert sender.write(b"abcdefg") == 6
    assert taken(sender) == [(0, b"ab")]
    assert not sender.ready
    assert taken(sender) == []
    assert sender.tail() == (0, b"abcdef")
    sender.credit(4)
    sender.credit(3)
    assert taken(sender) == [(2, b"cd")]


def test_the_end() -> None:
    sender = filled(b"abc")
    assert (sender.final, sender.drained) == (None, False)
    sender.finish()
    assert (sender.final, sender.drained) == (3, False)
    take_all(sender)
    assert sender.drained
    with pytest.raises(LocalProtocolError):
        sender.finish()
    with pytest.raises(LocalProtocolError):
        sender.write(b"x")
    assert sender.written == 3


def test_acknowledged_bytes_are_forgotten() -> None:
    sender = filled(bytes(FRAME), b"b" * FRAME)
    take_all(sender)
    sender.acknowledge(FRAME + 1, 1 << 20)
    assert sender.acked == FRAME + 1
    assert sender.tail() == (FRAME + 1, b"b" * (FRAME - 1))
    with pytest.raises(RemoteProtocolError):
        sender.rewind(FRAME)
    with pytest.raises(RemoteProtocolError):
        sender.crc_at(FRAME)


def test_the_crc_at_every_offset_that_is_kept() -> None:
    body = bytes(range(256)) * 48
    sender = filled(body)
    take_all(sender)
    for back in (2 * FRAME + 1, 1):  # of what waits again one piece, and several
        sender.rewind(back)
        for offset in (0, 1, FRAME, FRAME + 1, 2 * FRAME, 2 * FRAME + 1, len(body)):
            assert sender.crc_at(offset) == crc32(body[:offset])


def test_a_window_that_goes_backwards_is_ignored() -> None:
    sender = filled(b"abc", maximum=10)
    take_all(sender)
    sender.acknowledge(2, 20)
    sender.acknowledge(1, 30)
    assert (sender.acked, sender.maximum) == (2, 20)
    sender.acknowledge(2, 15)
    assert (sender.acked, sender.maximum) == (2, 20)


@pytest.mark.parametrize(("ack", "maximum"), [(4, 10), (2, 1)])
def test_an_impossible_window_changes_nothing(ack: int, maximum: int) -> None:
    sender = filled(b"abc", maximum=10)
    assert taken(sender) == [(0, b"abc")]
    sender.write(b"def")
    with pytest.raises(RemoteProtocolError):
        sender.acknowledge(ack, maximum)
    assert (sender.acked, sender.maximum, sender.sent) == (0, 10, 3)


@pytest.mark.parametrize("offset", [-1, 4])
def test_a_rewind_to_what_was_never_sent_changes_nothing(offset: int) -> None:
    sender = filled(b"abc")
    take_all(sender)
    sender.write(b"d")
    with pytest.raises(RemoteProtocolError):
        sender.rewind(offset)
    assert (sender.sent, sender.tail()) == (3, (0, b"abcd"))


def test_many_tiny_pieces_in_flight_keep_few_objects() -> None:
    sender = Sender(FRAME, 100_000)
    for _ in range(20_000):
        sender.write(b"x")
        sender.data_to_send(1)
    assert len(sender._in_flight) <= 20_000 // FRAME + 1


@given(
    writes=st.lists(st.binary(min_size=1, max_size=3000), max_size=12),
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "ack", "rewind"]), st.floats(0, 1)), max_size=30
    ),
)
def test_whatever_happens_the_bytes_and_crcs_stay_the_same(
    writes: list[bytes], steps: list[tuple[str, float]]
) -> None:
    body = b"".join(writes)
    sender = filled(*writes)
    for step, share in steps:
        offset = sender.acked + int(share * (sender.sent - sender.acked))
        if step == "take":
            assert all(body[at:].startswith(data) for at, data in taken(sender))
        elif step == "ack":
            sender.acknowledge(offset, sender.maximum)
        else:
            sender.rewind(offset)
            assert sender.sent == offset
        assert sender.tail() == (sender.acked, body[sender.acked :])
        for position in {sender.acked, offset, sender.sent, len(body)}:
            if position >= sender.acked:
                assert sender.crc_at(position) == crc32(body[:position])
    start = sender.sent
    assert take_all(sender) == body[start:]


def test_a_rewind_over_several_pieces_sends_them_all_again() -> None:
    body = bytes(range(256)) * 48
    sender = filled(body)
    take_all(sender)
    sender.rewind(0)
    assert take_all(sender) == body


def test_no_credit_makes_it_keep_more_than_a_window() -> None:
    sender = Sender(4096, 0)
    sender.credit(2**62)
    assert sender.room == MAX_WINDOW
    sender.write(bytes(MAX_WINDOW))
    assert len(taken(sender)) == MAX_WINDOW // FRAME
    assert sender.room == 0
    sender.acknowledge(100, 2**62)
    assert sender.room == 100
