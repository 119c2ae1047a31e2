"""The function's side alone: what it refuses, what it ignores, what it says when."""

from __future__ import annotations

from zlib import crc32

import pytest

from protocol.errors import (
    LocalProtocolError,
    RejectCode,
    RemoteProtocolError,
    ResetCode,
)
from protocol.frames import (
    Attached,
    AttachFlag,
    Cancel,
    Data,
    End,
    EndAck,
    Head,
    Reject,
    Reset,
    StreamFrame,
    Window,
)
from protocol.function_stream import FunctionState
from protocol.headers import HeadError
from protocol.limits import INLINE_ANSWER_MAX, RECEIPT_BODY_MAX, Limits
from tests.protocol.function_side import HELD, accepted, attached, kinds, stream

# ----------------------------------------------------------------------- what the user may do


def test_the_order_of_the_users_calls() -> None:
    function = stream()
    for call in (lambda: function.write(b"x"), function.end):
        with pytest.raises(LocalProtocolError):
            call()
    with pytest.raises(HeadError):
        function.start(1, [])
    assert not function.started
    function.start(200, [])
    with pytest.raises(LocalProtocolError):
        function.start(200, [])
    function.end()
    assert function.ended
    for call in (lambda: function.write(b"x"), function.end):
        with pytest.raises(LocalProtocolError):
            call()


def test_a_function_that_cannot_dial_may_fill_a_receipt() -> None:
    function = stream()
    function.start(200, [])
    assert function.write(bytes(100)) == 64
    function.buffer_for_receipt()
    assert function.write(bytes(RECEIPT_BODY_MAX)) == RECEIPT_BODY_MAX - 64
    assert function.room == 0
    function.end()
    receipt = function.receipt(dial="x" * 1000)
    assert receipt.status == "end"
    assert receipt.head == (200, ())
    assert receipt.tail == (0, bytes(RECEIPT_BODY_MAX))
    assert receipt.dial is not None
    assert len(receipt.dial) == 256


def test_a_function_that_lost_its_gateway_may_fill_a_receipt_from_the_last_acknowledgement() -> (
    None
):
    function = attached()
    function.start(200, [])
    function.write(bytes(64))
    function.frames_to_send(0.0)
    function.receive(Window(1, 40, 104), 0.0)
    assert function.progress == 40
    function.detach()
    function.buffer_for_receipt()
    assert function.room == RECEIPT_BODY_MAX - 24
    function.write(bytes(RECEIPT_BODY_MAX))
    returnable = [function.returnable]
    function.end()
    assert [*returnable, function.returnable] == [False, True]
    assert function.receipt().tail == (40, bytes(RECEIPT_BODY_MAX))
    function.attach(2)
    function.receive(accepted(2, recv=64, crc=crc32(bytes(64)), flags=HELD), 0.0)
    assert function.room == 0  # more was written than there is credit for


def test_bytes_beyond_a_receipt_are_lost() -> None:
    function = stream(window=RECEIPT_BODY_MAX + 1)
    function.start(200, [])
    function.write(bytes(RECEIPT_BODY_MAX + 1))
    function.end()
    receipt = function.receipt()
    assert (receipt.status, receipt.code, receipt.tail) == ("lost", ResetCode.LOST, None)


def test_what_the_gateway_holds_is_not_lost_however_large() -> None:
    function = attached(window=RECEIPT_BODY_MAX + 1)
    function.start(200, [])
    function.write(bytes(RECEIPT_BODY_MAX + 1))
    function.end()
    function.frames_to_send(0.0)
    function.receive(EndAck(1, RECEIPT_BODY_MAX + 1), 0.0)
    receipt = function.receipt()
    assert (receipt.status, receipt.code, receipt.tail) == ("end", None, None)


# ----------------------------------------------------------------------- attach


def test_a_fresh_stream_speaks_at_once() -> None:
    function = stream()
    function.start(200, [])
    function.write(b"abc")
    assert function.frames_to_send(0.0) == []
    attach = function.attach(1)
    assert attach.flags == AttachFlag.FRESH
    assert (attach.inv, attach.epoch, attach.lo, attach.hi) == (1, 1, 0, 0)
    assert kinds(function.frames_to_send(0.0)) == ["Head", "Data"]
    function.receive(accepted(), 0.0)
    assert function.frames_to_send(0.0) == []


@pytest.mark.parametrize("inv", [1, 2])
def test_any_other_attach_waits_for_attached(inv: int) -> None:
    function = stream(inv=inv)
    function.start(200, [])
    function.write(b"abc")
    if inv == 1:
        function.attach(1)
        function.frames_to_send(0.0)
        function.detach()
    attach = function.attach(2)
    assert not attach.flags & AttachFlag.FRESH
    assert bool(attach.flags & AttachFlag.HEAD_SENT) is (inv == 1)
    assert function.frames_to_send(0.0) == []
    function.receive(accepted(2), 0.0)
    assert kinds(function.frames_to_send(0.0)) == ["Head", "Data"]


def test_a_head_that_is_known_is_not_sent_again() -> None:
    function = attached()
    function.start(200, [])
    function.frames_to_send(0.0)
    function.attach(2)
    function.receive(accepted(2, flags=HELD), 0.0)
    assert function.frames_to_send(0.0) == []
    function.end()
    assert function.receipt().head is None


def test_smaller_frames_are_adopted() -> None:
    function = stream(window=20_000, max_frame=8192)
    function.attach(1)
    limits = Limits(max_frame=4096, ping_ms=1)
    function.receive(Attached(1, 0, 0, 20_000, 0, 0, limits), 0.0)
    assert function.limits is limits
    function.start(200, [])
    function.write(bytes(5000))
    sizes = [len(f.data) for f in function.frames_to_send(0.0) if isinstance(f, Data)]
    assert sizes == [4096, 904]


def test_attach_after_the_end_is_refused() -> None:
    function = stream()
    function.start(200, [])
    function.end()
    assert function.inline_answer() is not None
    with pytest.raises(LocalProtocolError):
        function.attach(1)
    function.detach()
    assert function.state is FunctionState.DONE


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (accepted(recv=1), "fresh"),
        (accepted(req_lo=1), "gap"),
        (Window(1, 0, 64), "not in state attaching"),
        (Cancel(1, 1, ""), "not in state attaching"),
        (Head(1, 200, ()), "not in state attaching"),
    ],
)
def test_what_must_not_answer_an_attach(frame: StreamFrame, error: str) -> None:
    function = stream()
    function.attach(1)
    with pytest.raises(RemoteProtocolError, match=error):
        function.receive(frame, 0.0)
    assert function.state is FunctionState.ATTACHING


@pytest.mark.parametrize(
    "frame",
    [accepted(), Reject(1, 2, None, "", None), EndAck(1, 0), End(1, 5, 0), Data(1, 9, b"x")],
)
def test_what_must_not_come_to_an_attached_stream(frame: StreamFrame) -> None:
    function = attached(body="stream")
    with pytest.raises(RemoteProtocolError):
        function.receive(frame, 0.0)
    assert function.state is FunctionState.ATTACHED


def test_a_resume_at_what_is_not_kept_is_refused() -> None:
    function = attached()
    function.attach(2)
    with pytest.raises(RemoteProtocolError):
        function.receive(accepted(2, recv=1), 0.0)
    assert function.state is FunctionState.ATTACHING


def test_other_bytes_at_the_gateway_reset_the_response() -> None:
    function = attached()
    function.start(200, [])
    function.write(b"abc")
    function.frames_to_send(0.0)
    function.attach(2)
    function.receive(accepted(2, recv=3, crc=1, flags=HELD), 0.0)
    (reset,) = function.frames_to_send(0.0)
    assert isinstance(reset, Reset)
    assert (reset.code, reset.final) == (ResetCode.DIVERGED, 3)


def test_frames_of_another_connection_are_ignored() -> None:
    function = attached()
    function.receive(Cancel(2, 1, ""), 0.0)
    function.detach()
    function.receive(Cancel(1, 1, ""), 0.0)
    assert function.cancelled is None
    assert function.dropped == 2


@pytest.mark.parametrize("code", list(RejectCode))
def test_some_rejects_pass_and_some_are_final(code: RejectCode) -> None:
    function = stream()
    function.start(200, [])
    function.attach(1)
    function.receive(Reject(1, code, None, "", None), 0.0)
    assert function.rejected is not None
    passing = code.name in {"UNKNOWN", "DRAINING", "OVERLOADED", "NOT_OWNER", "LIMIT"}
    assert function.state is (FunctionState.DETACHED if passing else FunctionState.DONE)
    assert function.write(b"x") == int(passing)
    if passing:
        function.attach(2)
        assert function.rejected is None
    else:
        assert function.receipt().status == "lost"


# ----------------------------------------------------------------------- head and inline answer


def test_an_inline_answer_before_the_head_is_committed() -> None:
    function = stream()
    assert function.inline_answer() is None
    function.start(200, [])
    function.write(b"abc")
    assert function.inline_answer() is None
    function.end()
    assert not function.head_committed
    receipt = function.inline_answer()
    assert receipt is not None
    assert (receipt.status, receipt.head, receipt.tail) == ("end", (200, ()), (0, b"abc"))
    assert function.frames_to_send(0.0) == []


def test_on_a_warm_connection_the_first_call_commits_the_head() -> None:
    function = attached()
    function.start(200, [])
    assert function.head_committed
    function.end()
    assert function.inline_answer() is None


def test_a_write_commits_a_head_that_was_given_while_dialling() -> None:
    function = stream()
    function.start(200, [])
    function.attach(1)
    assert not function.head_committed
    function.write(b"x")
    assert function.head_committed


def test_handing_out_the_head_commits_it() -> None:
    function = stream()
    function.start(200, [])
    function.attach(1)
    function.frames_to_send(0.0)
    assert function.head_committed


def test_a_large_answer_is_never_inline() -> None:
    function = stream(window=INLINE_ANSWER_MAX + 1)
    function.start(200, [])
    function.write(bytes(INLINE_ANSWER_MAX + 1))
    function.end()
    assert function.inline_answer() is None
