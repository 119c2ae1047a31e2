"""Ends that wait for no END_ACK: what both sides of a stream, and of a connection, make of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from protocol.connection import FunctionConnection
from protocol.errors import CancelCode, GoawayCode, RejectCode, ResetCode
from protocol.frames import Attached, Cancel, End, EndAck, EndFlag, Goaway, Ping, Reject, Window
from protocol.function_stream import FunctionState
from protocol.limits import PARTING_MAX
from tests.protocol.function_side import accepted, attached, stream
from tests.protocol.gateway_side import ABC, END, HEAD, attach_frame, bound, receipt
from tests.protocol.link import LIMITS

if TYPE_CHECKING:
    from protocol.frames import Frame
    from protocol.function_stream import FunctionStream

PARTING = replace(END, flags=EndFlag.PARTING)


# ----------------------------------------------------------------------- the function's stream


def ended(function: FunctionStream, size: int = 3) -> list[Frame]:
    """Give a whole response of so many bytes, and return what is to be sent."""
    function.start(200, [])
    assert function.write(bytes(size)) == size
    function.end()
    return function.frames_to_send(0.0)


@pytest.mark.parametrize("fresh", [True, False])
def test_a_small_response_waits_for_nothing_once_its_end_was_sent(*, fresh: bool) -> None:
    function = stream()
    function.attach(1)
    if not fresh:
        function.receive(accepted(), 0.0)
    frames = ended(function)
    assert function.part(frames, silently=True)
    assert isinstance(frames[-1], End)
    assert frames[-1].flags == EndFlag.PARTING
    assert function.state is FunctionState.DONE
    assert not function.answer_due
    returned = function.receipt()
    assert (returned.status, returned.head, returned.tail) == ("end", (200, ()), (0, bytes(3)))


def test_an_end_may_be_left_without_a_word() -> None:
    function = attached()
    frames = ended(function)
    assert function.part(frames, silently=False)
    assert isinstance(frames[-1], End)
    assert frames[-1].flags == 0
    assert function.answer_due


def test_an_end_that_left_before_cannot_say_it_any_more() -> None:
    function = attached()
    ended(function)
    assert function.part([], silently=True)
    assert function.answer_due


def test_what_still_comes_for_a_stream_that_was_left_is_dropped() -> None:
    function = attached()
    assert function.part(ended(function), silently=False)
    function.receive(Cancel(1, CancelCode.CLIENT_GONE, ""), 0.0)
    function.receive(EndAck(1, 3), 0.0)
    assert function.dropped == 2
    assert not function.broken_off
    assert function.receipt().status == "end"


@pytest.mark.parametrize(("size", "parts"), [(PARTING_MAX, True), (PARTING_MAX + 1, False)])
def test_more_than_a_little_waits(size: int, *, parts: bool) -> None:
    function = stream(window=PARTING_MAX + 1)
    function.attach(1)
    assert function.part(ended(function, size), silently=True) is parts


def test_only_what_is_not_acknowledged_counts() -> None:
    function = stream(window=PARTING_MAX + 3)
    function.attach(1)
    frames = ended(function, PARTING_MAX + 3)
    function.receive(accepted(), 0.0)
    function.receive(Window(1, 3, PARTING_MAX + 67), 0.0)
    assert function.part(frames, silently=True)
    returned = function.receipt()
    assert returned.head is None
    assert returned.tail == (3, bytes(PARTING_MAX))


def test_an_end_that_was_not_sent_waits() -> None:
    function = stream(window=2)
    function.attach(1)
    function.start(200, [])
    function.write(b"abc")
    assert not function.part(function.frames_to_send(0.0), silently=True)


def test_after_a_loss_an_end_waits_until_it_was_sent_again() -> None:
    function = attached()
    ended(function)
    function.detach()
    assert not function.part([], silently=True)
    function.attach(2)
    assert not function.part(function.frames_to_send(0.0), silently=True)
    function.receive(accepted(2), 0.0)
    assert function.part(function.frames_to_send(0.0), silently=True)


def test_a_response_that_is_broken_off_does_not_part() -> None:
    function = attached()
    frames = ended(function)
    function.reset(ResetCode.DEADLINE, "late")
    assert not function.part(frames, silently=True)


def test_a_streamed_request_body_waits() -> None:
    function = attached(body="stream")
    assert not function.part(ended(function), silently=True)


# ----------------------------------------------------------------------- the function's connection


def connection() -> FunctionConnection:
    """A connection that has carried one stream."""
    made = FunctionConnection(LIMITS, 0.0)
    made.open_stream(1, 0.0)
    return made


@pytest.mark.parametrize("answer_due", [True, False])
def test_a_connection_that_owes_an_answer_carries_nothing_before_it(*, answer_due: bool) -> None:
    left = connection()
    left.leave(1, 0.0, answer_due=answer_due)
    assert left.reusable is not answer_due
    assert left.receive(Attached(1, 0, 0, 64, 0, 0, LIMITS), 1.0) is None
    assert left.reusable is not answer_due
    assert left.receive(EndAck(1, 3), 1.0) is None
    assert left.reusable


def test_a_refusal_is_an_answer_too() -> None:
    left = connection()
    left.leave(1, 0.0, answer_due=True)
    assert left.receive(Reject(1, RejectCode.TERMINAL, None, "", None), 1.0) is None
    assert left.reusable


def test_after_a_goaway_it_carries_nothing() -> None:
    left = connection()
    left.leave(1, 0.0, answer_due=False)
    left.receive(Goaway(GoawayCode.DRAINING, 0, None), 0.0)
    assert not left.reusable


def test_a_connection_is_proven_by_what_came_lately_and_not_by_what_was_sent() -> None:
    silent = connection()
    until = LIMITS.ping_ms / 1000
    assert silent.proven(until - 0.001)
    assert not silent.proven(until)
    silent.leave(1, until, answer_due=False)
    silent.open_stream(2, until)
    assert not silent.proven(until)
    silent.receive(Ping(1), until)
    assert silent.proven(until)


def test_what_is_read_between_two_streams_may_have_come_right_after_the_first() -> None:
    left, until = connection(), LIMITS.ping_ms / 1000
    left.leave(1, 5.0, answer_due=True)
    left.receive(EndAck(1, 3), 3 * until)
    assert left.reusable
    assert not left.proven(3 * until)
    assert left.proven(5.0 + until - 0.001)
    assert not left.proven(5.0 + until)


def test_a_word_of_long_ago_takes_nothing_back_that_is_known() -> None:
    unused, until = FunctionConnection(LIMITS, 0.0), LIMITS.ping_ms / 1000
    unused.open_stream(1, 1.0)
    unused.receive(Ping(1), 7.0)
    unused.release(1, 7.0)
    unused.receive(Ping(2), 20.0)
    assert unused.proven(7.0 + until - 0.001)
    assert not unused.proven(7.0 + until)


def test_time_that_no_clock_has_seen_proves_nothing() -> None:
    frozen, until = connection(), LIMITS.ping_ms / 1000
    frozen.leave(1, 0.0, answer_due=True)
    frozen.slept(until)
    frozen.receive(EndAck(1, 3), 0.1)
    assert not frozen.proven(0.1)


# ----------------------------------------------------------------------- the gateway


def test_nobody_answers_an_end_that_waits_for_nothing() -> None:
    gateway = bound(HEAD, ABC, PARTING)
    assert gateway.ended
    assert gateway.over
    assert not gateway.due(0.0)
    assert gateway.frames_to_send(0.0) == []


def test_the_same_end_again_is_answered_if_it_waits() -> None:
    gateway = bound(HEAD, ABC, PARTING)
    gateway.detach("one")
    resumed = attach_frame(2, epoch=2, flags=1, hi=3)
    assert isinstance(gateway.attach(resumed, "two", 0.0), Attached)
    gateway.receive("two", replace(END, sid=2), 0.0)
    assert gateway.frames_to_send(0.0) == [EndAck(2, 3)]


def test_it_is_over_even_where_the_response_has_failed() -> None:
    gateway = bound(HEAD)
    gateway.apply_receipt(receipt("lost"))
    assert gateway.failed is None
    gateway.receive("one", ABC, 0.0)
    gateway.receive("one", PARTING, 0.0)
    assert not gateway.ended
    assert gateway.over


def test_the_receipt_behind_it_says_nothing_new() -> None:
    gateway = bound(HEAD, ABC, PARTING)
    assert gateway.apply_receipt(receipt(head=(200, ()), tail=(0, b"abc"))) == []


def test_the_receipt_before_it_is_as_good() -> None:
    gateway = bound(HEAD)
    assert gateway.apply_receipt(receipt(head=(200, ()), tail=(0, b"abc")))
    assert gateway.receive("one", ABC, 0.0) is None
    assert gateway.receive("one", PARTING, 0.0) is None
    assert gateway.over
    assert gateway.ended


def test_cancel_comes_too_late() -> None:
    gateway = bound(HEAD, ABC, PARTING)
    gateway.cancel(CancelCode.CLIENT_GONE, "")
    assert gateway.frames_to_send(0.0) == []
    assert gateway.ended
