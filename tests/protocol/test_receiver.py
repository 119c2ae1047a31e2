from __future__ import annotations

from zlib import crc32

import pytest

from protocol.errors import LocalProtocolError, RemoteProtocolError, ResetCode, StreamFailed
from protocol.limits import ACK_DELAY
from protocol.receiver import Receiver


def state(receiver: Receiver) -> tuple[object, ...]:
    return receiver.position, receiver.consumed, receiver.maximum, receiver.crc, receiver.final


def test_bytes_in_order_duplicates_and_overlaps() -> None:
    receiver = Receiver(100)
    assert receiver.accept(0, b"abc") == b"abc"
    assert receiver.accept(0, b"abc") == b""
    assert receiver.accept(1, b"b") == b""
    assert receiver.accept(2, b"cde") == b"de"
    assert receiver.position == 5
    assert receiver.duplicates == 5
    assert receiver.crc == crc32(b"abcde")


@pytest.mark.fault(51, 52)
@pytest.mark.parametrize(
    ("offset", "data", "error"),
    [
        (4, b"x", RemoteProtocolError),
        (3, b"", RemoteProtocolError),
        (3, b"12345678", StreamFailed),
        (50, b"x", StreamFailed),
    ],
)
def test_what_must_not_come_changes_nothing(
    offset: int, data: bytes, error: type[Exception]
) -> None:
    receiver = Receiver(10)
    receiver.accept(0, b"abc")
    before = state(receiver)
    with pytest.raises(error):
        receiver.accept(offset, data)
    assert state(receiver) == before


def test_an_overrun_is_flow_control() -> None:
    with pytest.raises(StreamFailed) as caught:
        Receiver(0).accept(0, b"x")
    assert caught.value.reset_code is ResetCode.FLOW_CONTROL


def test_the_end() -> None:
    receiver = Receiver(10)
    receiver.accept(0, b"abc")
    for final, crc in ((2, receiver.crc), (4, receiver.crc), (3, 0)):
        with pytest.raises(StreamFailed) as caught:
            receiver.finish(final, crc)
        assert caught.value.reset_code is ResetCode.DIVERGED
        assert receiver.final is None
    receiver.finish(3, receiver.crc)
    receiver.finish(3, receiver.crc)
    assert receiver.accept(0, b"abc") == b""
    with pytest.raises(StreamFailed):
        receiver.accept(3, b"d")
    with pytest.raises(StreamFailed):
        receiver.finish(4, 0)
    assert receiver.final == 3


def test_consuming_more_than_came_is_our_own_fault() -> None:
    receiver = Receiver(10)
    receiver.accept(0, b"abc")
    with pytest.raises(LocalProtocolError):
        receiver.consume(4)
    assert receiver.consumed == 0


def test_credit_is_due_after_half_a_window() -> None:
    receiver = Receiver(10_000)
    receiver.accept(0, bytes(6000))
    receiver.consume(4999)
    assert receiver.window_due(0.0) is None
    receiver.consume(1)
    assert receiver.window_due(0.0) == (5000, 15_000)
    assert receiver.window_due(0.0) is None
    assert receiver.maximum == 15_000


def test_credit_is_due_early_when_the_sender_stands_at_its_limit() -> None:
    receiver = Receiver(100_000)
    receiver.accept(0, bytes(100_000))
    receiver.consume(1023)
    assert receiver.window_due(0.0) is None
    receiver.consume(1)
    assert receiver.window_due(0.0) == (1024, 101_024)


def test_what_the_sender_missed_is_told_at_once_on_a_new_connection() -> None:
    receiver = Receiver(1000)
    receiver.accept(0, bytes(100))
    receiver.consume(10)
    assert receiver.restate(10) == 1010
    assert receiver.window_due(1.0) is None
    assert receiver.restate(9) == 1010
    assert receiver.window_due(1.0) == (10, 1010)
    receiver.consume(1)
    assert receiver.window_due(1.0) is None


def test_credit_is_due_some_time_after_the_last_one() -> None:
    receiver = Receiver(1000)
    receiver.accept(0, bytes(100))
    assert receiver.next_deadline() is None
    receiver.consume(1)
    assert receiver.next_deadline() == 0.0
    assert receiver.window_due(7.0) is None
    assert receiver.next_deadline() == 7.0 + ACK_DELAY
    assert receiver.window_due(6.99 + ACK_DELAY) is None
    assert receiver.window_due(7.0 + ACK_DELAY) == (1, 1001)
    assert receiver.next_deadline() is None
    receiver.consume(1)
    assert receiver.window_due(20.0) == (2, 1002)


def test_who_consumes_is_told_whether_to_ask_for_a_window_now_or_later() -> None:
    receiver = Receiver(1000)
    receiver.accept(0, bytes(1000))
    told = [receiver.consume(1), receiver.consume(1)]  # the first sets the clock
    assert receiver.window_due(7.0) is None
    told += [receiver.consume(100), receiver.consume(148)]  # at its limit the sender wants less
    assert receiver.window_due(7.0) == (250, 1250)
    told += [receiver.consume(1), receiver.consume(1)]
    assert told == [True, False, False, True, True, False]


def test_the_end_makes_what_is_owed_due_at_once() -> None:
    receiver = Receiver(1000)
    receiver.accept(0, b"abc")
    receiver.consume(1)
    receiver.finish(3, receiver.crc)
    assert receiver.window_due(0.0) == (1, 1001)
    receiver.consume(1)
    assert receiver.window_due(0.0) is None


def test_growing_is_told_even_if_nothing_was_consumed() -> None:
    receiver = Receiver(1000)
    receiver.grow(500)
    assert receiver.window_due(0.0) is None
    receiver.grow(2000)
    assert receiver.window_due(0.0) == (0, 2000)
    assert receiver.window_due(0.0) is None


def test_a_lost_acknowledgement_is_told_again_after_a_resume() -> None:
    receiver = Receiver(100)
    receiver.accept(0, bytes(80))
    receiver.consume(60)
    assert receiver.window_due(0.0) == (60, 160)
    assert receiver.restate(known=0) == 160
    assert receiver.window_due(0.0) == (60, 160)
    receiver.restate(known=10**9)
    assert receiver.window_due(0.0) is None


def test_admitting_bytes_that_need_no_credit() -> None:
    receiver = Receiver(1)
    receiver.admit(5)
    receiver.admit(2)
    assert receiver.accept(0, b"abcde") == b"abcde"


# ----------------------------------------------------------------------- growth


def _consume_a_window(receiver: Receiver, now: float) -> None:
    """Let the sender use up its credit, and the reader take all of it."""
    size = receiver.maximum - receiver.position
    receiver.accept(receiver.position, bytes(size))
    receiver.consume(size)
    assert receiver.window_due(now) is not None


def test_the_window_grows_while_it_is_what_holds_the_body_up() -> None:
    receiver = Receiver(1024, 8 * 1024)
    for turn in range(6):
        _consume_a_window(receiver, turn * 0.01)
    assert receiver.window == 8 * 1024


def test_the_window_does_not_grow_when_it_may_not() -> None:
    receiver = Receiver(1024, 8 * 1024)
    _consume_a_window(receiver, 0.0)
    receiver.accept(receiver.position, bytes(1024))
    receiver.consume(1024)
    assert receiver.window_due(0.01, may_grow=False) == (2048, 3072)


def test_the_window_of_a_slow_reader_does_not_grow() -> None:
    receiver = Receiver(1024, 8 * 1024)
    for turn in range(6):
        _consume_a_window(receiver, turn * 1.0)
    assert receiver.window == 1024


@pytest.mark.parametrize(
    ("interval", "window"),
    [
        (0.001, 8 * 1024),  # half of 4 KiB, and of 8, take less than 5 ms, and 7
        (0.01, 1024),
    ],
)
def test_while_the_sender_has_credit_the_window_grows_only_if_told_too_often(
    interval: float, window: int
) -> None:
    receiver = Receiver(1024, 8 * 1024)
    for turn in range(100):
        receiver.accept(receiver.position, bytes(600))
        receiver.consume(600)
        receiver.window_due(turn * interval)
    assert receiver.window == window
