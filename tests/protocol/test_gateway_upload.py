"""The gateway's side alone: the request body on its way, and what a receipt adds."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import pytest

from protocol.errors import (
    CancelCode,
    LocalProtocolError,
    RejectCode,
    RemoteProtocolError,
    ResetCode,
    StreamFailed,
)
from protocol.frames import (
    Attached,
    AttachedFlag,
    Cancel,
    Data,
    End,
    EndAck,
    Reset,
    StreamFrame,
    Window,
)
from tests.protocol.gateway_side import (
    ABC,
    END,
    HEAD,
    attach_frame,
    bound,
    receipt,
    rejected,
    stream,
)

# ----------------------------------------------------------------------- upload


def test_the_request_body_is_sent_as_far_as_the_function_takes_it() -> None:
    gateway = stream(upload=True)
    assert gateway.upload_room == 0
    assert gateway.upload(b"x") == 0
    gateway.attach(attach_frame(req_max=4), "one", 0.0)
    assert gateway.upload(b"abcdef") == 4
    assert gateway.frames_to_send(0.0) == [Data(1, 0, b"abcd")]
    gateway.receive("one", Window(1, 4, 8), 0.0)
    assert gateway.upload(b"ef") == 2
    gateway.finish_upload()
    end = End(1, 6, crc32(b"abcdef"))
    assert gateway.frames_to_send(0.0) == [Data(1, 4, b"ef"), end]
    gateway.attach(attach_frame(2, epoch=2, req_recv=5, req_max=9), "two", 0.0)
    assert gateway.frames_to_send(0.0) == [Data(2, 5, b"f"), replace(end, sid=2)]
    with pytest.raises(RemoteProtocolError):
        gateway.receive("two", EndAck(2, 5), 0.0)
    assert gateway.receive("two", EndAck(2, 6), 0.0) is None
    answer = gateway.attach(attach_frame(3, epoch=3, req_recv=6, req_max=9), "three", 0.0)
    assert isinstance(answer, Attached)
    assert answer.flags == AttachedFlag.REQ_ENDED
    assert answer.req_lo == 4
    assert gateway.upload_acknowledged
    assert gateway.frames_to_send(0.0) == []
    with pytest.raises(LocalProtocolError):
        gateway.upload(b"x")


@pytest.mark.parametrize("late", [Window(1, 4, 8), EndAck(1, 4)], ids=["window", "end-ack"])
def test_what_acknowledges_a_forgotten_request_body_breaks_no_rule(late: StreamFrame) -> None:
    gateway = stream(upload=True)
    gateway.attach(attach_frame(req_max=8), "one", 0.0)
    gateway.upload(b"abcd")
    gateway.finish_upload()
    gateway.frames_to_send(0.0)
    gateway.cancel(CancelCode.CLIENT_GONE, "gone")
    assert gateway.receive("one", late, 0.0) is None
    assert (gateway.errors, gateway.dropped) == (0, 1)
    assert [type(frame) for frame in gateway.frames_to_send(0.0)] == [Cancel]


def test_a_forgotten_request_body_is_taken_no_further() -> None:
    gateway = stream(upload=True)
    gateway.attach(attach_frame(req_max=8), "one", 0.0)
    gateway.upload(b"abcd")
    gateway.cancel(CancelCode.CLIENT_GONE, "gone")
    assert gateway.upload(b"e") == 0
    gateway.finish_upload()
    assert (gateway.upload_room, gateway.upload_kept) == (0, 0)
    assert not gateway.upload_acknowledged


def test_credit_for_a_request_body_that_there_is_not_breaks_no_rule() -> None:
    gateway = bound()
    assert gateway.receive("one", Window(1, 0, 8), 0.0) is None
    assert gateway.errors == 0


@pytest.mark.parametrize("answer", [Window(1, 1, 8), EndAck(1, 0)], ids=["window", "end-ack"])
def test_what_acknowledges_a_request_body_that_there_is_not(answer: StreamFrame) -> None:
    gateway = bound()
    with pytest.raises(RemoteProtocolError, match="no request body"):
        gateway.receive("one", answer, 0.0)


def test_a_function_that_has_bytes_of_no_request_body_is_refused() -> None:
    gateway = stream()
    assert rejected(gateway, attach_frame(req_recv=1)) is RejectCode.GAP


def test_due_tells_whether_there_is_something_to_send() -> None:
    gateway = stream(upload=True)
    told = [gateway.due(0.0)]
    gateway.attach(attach_frame(req_max=4), "one", 0.0)
    gateway.receive("one", HEAD, 0.0)
    gateway.receive("one", Data(1, 0, bytes(64)), 0.0)
    told.append(gateway.due(0.0))
    for act in (
        lambda: gateway.upload(b"x"),
        gateway.finish_upload,
        lambda: gateway.consumed(64),
        lambda: gateway.receive("one", End(1, 64, crc32(bytes(64))), 0.0),
    ):
        act()
        told.append(gateway.due(0.0))
        assert gateway.frames_to_send(0.0)
        assert not gateway.due(0.0)
    assert told == [False, False, True, True, True, True]


# ----------------------------------------------------------------------- receipts


@pytest.mark.parametrize(
    "changes", [{"xid": "ab" * 16}, {"inv": 2}], ids=["other exchange", "other invocation"]
)
def test_a_foreign_receipt_is_ignored(changes: dict[str, object]) -> None:
    gateway = bound(HEAD, ABC)
    assert gateway.apply_receipt(receipt(**changes)) == []  # type: ignore[arg-type]
    assert gateway.dropped == 1
    assert gateway.failed is None


def test_a_receipt_completes_what_is_held() -> None:
    gateway = bound(HEAD, Data(1, 0, b"a"))
    records = gateway.apply_receipt(receipt(tail=(0, b"abc")))
    assert records == [Data(1, 1, b"bc"), END]
    assert gateway.ended


def test_a_receipt_without_a_tail_may_complete_it_too() -> None:
    assert bound(HEAD, ABC).apply_receipt(receipt()) == [END]


@pytest.mark.parametrize(
    ("frames", "changes", "code"),
    [
        ((HEAD,), {}, ResetCode.DIVERGED),
        ((HEAD,), {"tail": (1, b"bc")}, ResetCode.LOST),
        ((HEAD,), {"tail": (0, b"abd")}, ResetCode.DIVERGED),
        ((), {"tail": (0, b"abc")}, ResetCode.LOST),
        ((), {"head": (200, ((b"\n", b""),))}, ResetCode.BAD_RESPONSE),
    ],
)
def test_a_receipt_that_does_not_complete_it_fails_it(
    frames: tuple[StreamFrame, ...], changes: dict[str, object], code: ResetCode
) -> None:
    gateway = bound(*frames)
    with pytest.raises(StreamFailed):
        gateway.apply_receipt(receipt(**changes))  # type: ignore[arg-type]
    assert gateway.failed is code
    assert gateway.apply_receipt(receipt()) == []


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("reset", ResetCode.DEADLINE, ResetCode.DEADLINE),
        ("reset", None, ResetCode.LOST),
        ("lost", None, ResetCode.LOST),
    ],
)
def test_a_receipt_may_end_it_abortively(
    status: str, code: int | None, expected: ResetCode
) -> None:
    gateway = bound(HEAD)
    (reset,) = gateway.apply_receipt(receipt(status, code=code))
    assert isinstance(reset, Reset)
    assert reset.code == expected
    assert gateway.apply_receipt(receipt()) == []


def test_growing_and_leaving_a_tombstone() -> None:
    gateway = bound(HEAD)
    gateway.grow(128)
    assert gateway.frames_to_send(0.0) == [Window(1, 0, 128)]
    gateway.terminate(RejectCode.UNKNOWN)
    assert rejected(gateway, attach_frame(epoch=2)) is RejectCode.UNKNOWN
