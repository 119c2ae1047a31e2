"""The function's side alone: how a response ends, and what comes of a streamed request body."""

from __future__ import annotations

import pytest

from protocol.errors import (
    CancelCode,
    RemoteProtocolError,
    ResetCode,
    StreamFailed,
)
from protocol.frames import (
    Cancel,
    Data,
    End,
    EndAck,
    Head,
    Reset,
    Window,
)
from protocol.function_stream import FunctionState
from tests.protocol.function_side import accepted, attached, kinds, stream

# ----------------------------------------------------------------------- endings


def test_an_acknowledged_end_needs_no_tail() -> None:
    function = attached()
    function.start(200, [])
    function.write(b"abc")
    function.end()
    function.frames_to_send(0.0)
    with pytest.raises(RemoteProtocolError):
        function.receive(EndAck(1, 2), 0.0)
    function.receive(EndAck(1, 3), 0.0)
    assert function.end_acknowledged
    receipt = function.receipt()
    assert (receipt.status, receipt.final, receipt.head, receipt.tail) == ("end", 3, None, None)
    function.reset(ResetCode.DEADLINE, "too late to matter")
    assert function.receipt().status == "end"


def test_an_acknowledged_byte_means_that_the_head_arrived() -> None:
    function = attached()
    function.start(200, [])
    function.write(b"abc")
    function.end()
    function.frames_to_send(0.0)
    function.receive(Window(1, 1, 65), 0.0)
    receipt = function.receipt()
    assert (receipt.head, receipt.tail) == (None, (1, b"bc"))


@pytest.mark.parametrize("code", list(ResetCode))
def test_what_user_code_wrote_before_it_failed_leaves_before_the_reset(code: ResetCode) -> None:
    function = attached()
    function.start(200, ())
    function.write(b"so far")
    function.reset(code, "boom")
    *said, reset = function.frames_to_send(0.0)
    assert isinstance(reset, Reset)
    if code in (ResetCode.HANDLER_ERROR, ResetCode.DEADLINE):
        assert [type(frame) for frame in said] == [Head, Data]
        assert reset.final == 6
    else:
        assert (said, reset.final) == ([], 0)


def test_a_failure_after_the_end_sends_no_end() -> None:
    function = attached()
    function.start(200, ())
    function.write(b"whole")
    function.end()
    function.reset(ResetCode.HANDLER_ERROR, "boom")
    (reset,) = function.frames_to_send(0.0)
    assert isinstance(reset, Reset)


def test_a_reset_is_sent_once_and_first_reason_stays() -> None:
    function = attached()
    function.start(200, [])
    function.write(b"abc")
    function.frames_to_send(0.0)
    function.write(b"never sent")
    function.reset(ResetCode.LOST, "boom")
    function.reset(ResetCode.DEADLINE, "later")
    assert function.write(b"x") == 0
    assert function.frames_to_send(0.0) == [Reset(1, ResetCode.LOST, 3, "boom")]
    assert function.frames_to_send(0.0) == []
    assert function.state is FunctionState.DONE
    receipt = function.receipt()
    assert (receipt.status, receipt.code, receipt.final) == ("reset", ResetCode.LOST, 3)


def test_cancel_stops_the_response_but_not_credit_for_the_upload() -> None:
    function = attached(body="stream")
    function.start(200, [])
    function.write(b"abc")
    function.receive(Cancel(1, 1, "gone"), 0.0)
    assert function.frames_to_send(0.0) == []
    assert function.receipt().code == ResetCode.CANCELLED


def test_a_second_cancel_changes_nothing() -> None:
    function = attached()
    assert not function.broken_off
    first = Cancel(1, CancelCode.CLIENT_GONE, "left")
    for frame in (first, Cancel(1, CancelCode.TIMEOUT, "late")):
        function.receive(frame, 0.0)
    assert function.cancelled is first
    assert function.broken_off


def test_cancel_after_the_end_is_ignored() -> None:
    function = attached()
    function.start(200, [])
    function.end()
    function.frames_to_send(0.0)
    function.receive(Cancel(1, 1, "gone"), 0.0)
    assert function.cancelled is None


# ----------------------------------------------------------------------- upload


def test_the_upload_is_read_as_it_comes() -> None:
    function = attached(body="stream", body_length=3)
    function.receive(Data(1, 0, b"ab"), 0.0)
    function.receive(Data(1, 0, b"ab"), 0.0)
    assert function.read() == [b"ab"]
    assert function.credit_is_news  # nobody has set an alarm for it
    assert function.next_deadline() is not None
    function.receive(Data(1, 2, b"cd"), 0.0)
    function.receive(End(1, 4, 0xED82CD11), 0.0)
    assert function.upload_ended
    assert kinds(function.frames_to_send(0.0)) == ["Window", "EndAck"]
    assert function.read() == [b"cd"]
    function.detach()
    assert function.next_deadline() is None


def test_a_request_body_that_differs_resets_the_response() -> None:
    function = attached(body="stream")
    with pytest.raises(StreamFailed):
        function.receive(End(1, 0, 1), 0.0)
    assert not function.upload_ended
    assert function.receipt().code == ResetCode.DIVERGED
    assert kinds(function.frames_to_send(0.0)) == ["Reset"]


def test_a_request_body_in_the_event_is_over_at_once() -> None:
    function = attached()
    assert function.upload_ended
    assert function.read() == []


def test_the_shell_can_tell_what_to_wait_for() -> None:
    function = stream(body="stream")
    function.attach(1)
    function.receive(accepted(), 0.0)
    function.receive(Data(1, 0, b"abc"), 0.0)
    assert function.upload_waiting == 3
    function.read()
    assert function.upload_waiting == 0
    function.start(200, [])
    function.end()
    assert not function.end_sent
    function.frames_to_send(0.0)
    assert function.end_sent
