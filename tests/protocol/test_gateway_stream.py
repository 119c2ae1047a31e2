"""The gateway's side alone: who is bound, what counts, and how it ends."""

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
    Head,
    Reset,
    StreamFrame,
    Window,
)
from protocol.limits import ACK_DELAY
from tests.protocol.gateway_side import (
    ABC,
    END,
    HEAD,
    RESUMED,
    attach_frame,
    bound,
    receipt,
    rejected,
    stream,
)
from tests.protocol.link import LIMITS

# ----------------------------------------------------------------------- the fence


def test_an_accepted_attach_tells_where_the_exchange_stands() -> None:
    gateway = bound(HEAD, ABC, upload=True)
    answer = gateway.attach(attach_frame(7, epoch=2, hi=3, flags=RESUMED), "two", 0.0)
    assert answer == Attached(7, 3, crc32(b"abc"), 64, AttachedFlag.HEAD_KNOWN, 0, LIMITS)
    assert (gateway.bound, gateway.pair) == ("two", (1, 2))
    gateway.receive("two", End(7, 3, crc32(b"abc")), 0.0)
    answer = gateway.attach(attach_frame(8, epoch=3, hi=3, flags=RESUMED), "three", 0.0)
    assert isinstance(answer, Attached)
    assert answer.flags == AttachedFlag.HEAD_KNOWN | AttachedFlag.END_KNOWN
    assert not gateway.over


def test_without_upload_the_request_has_ended() -> None:
    answer = stream().attach(attach_frame(), "one", 0.0)
    assert isinstance(answer, Attached)
    assert answer.flags == AttachedFlag.REQ_ENDED


@pytest.mark.fault(45, 67)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"xid": bytes(16)}, RejectCode.UNKNOWN),
        ({"secret": bytes(16), "epoch": 9}, RejectCode.BAD_TOKEN),
        ({"epoch": 2}, RejectCode.STALE),
        ({"epoch": 1}, RejectCode.STALE),
        ({"inv": 1, "epoch": 9, "secret": b"another secret!!"}, RejectCode.BAD_TOKEN),
    ],
)
def test_a_refused_attach_changes_nothing(changes: dict[str, object], code: RejectCode) -> None:
    gateway = stream()
    gateway.attach(attach_frame(epoch=2), "one", 0.0)
    assert rejected(gateway, attach_frame(**changes)) is code  # type: ignore[arg-type]
    assert (gateway.bound, gateway.pair, gateway.failed) == ("one", (1, 2), None)


def test_a_later_invocation_takes_over_with_its_own_secret() -> None:
    gateway = bound()
    new = attach_frame(inv=2, secret=b"another secret!!")
    assert isinstance(gateway.attach(new, "two", 0.0), Attached)
    assert rejected(gateway, attach_frame(epoch=9)) is RejectCode.STALE


#: Neither of these functions can go on after HEAD and three bytes.
NO_WAY_ON = pytest.mark.parametrize(
    "changes",
    [{"lo": 4, "hi": 9}, {"hi": 2}, {"hi": 3, "req_recv": 1}, {"hi": 3, "flags": 0}],
    ids=["forgotten", "never-sent", "request-bytes", "head-of-another"],
)


@pytest.mark.fault(52)
@NO_WAY_ON
def test_a_gap_fails_the_exchange(changes: dict[str, object]) -> None:
    gateway = bound(HEAD, ABC)
    frame = attach_frame(**({"epoch": 2, "flags": RESUMED} | changes))  # type: ignore[arg-type]
    assert rejected(gateway, frame) is RejectCode.GAP
    assert gateway.failed is ResetCode.LOST
    assert rejected(gateway, attach_frame(epoch=3, hi=3)) is RejectCode.TERMINAL


@NO_WAY_ON
def test_an_attach_that_comes_after_the_receipt_fails_nothing(changes: dict[str, object]) -> None:
    gateway = bound(HEAD, ABC)
    gateway.apply_receipt(receipt())
    frame = attach_frame(**({"epoch": 2, "flags": RESUMED} | changes))  # type: ignore[arg-type]
    assert rejected(gateway, frame) is RejectCode.TERMINAL
    assert gateway.ended
    assert gateway.failed is None


def test_request_bytes_are_kept_until_they_are_acknowledged_or_of_no_use() -> None:
    gateway = bound(upload=True)
    assert gateway.upload(b"request") == 7
    assert gateway.upload_kept == 7
    gateway.frames_to_send(0.0)
    gateway.receive("one", Window(1, 3, 64), 0.0)
    assert gateway.upload_kept == 4
    gateway.cancel(CancelCode.CLIENT_GONE, "")
    assert gateway.upload_kept == 0


def test_rules_broken_outside_of_the_stream_count_for_the_bound_connection_only() -> None:
    gateway = bound(HEAD)
    error = RemoteProtocolError("no msgpack")
    for _ in range(3):
        gateway.rule_broken("another", error)
    gateway.rule_broken("one", error)
    with pytest.raises(RemoteProtocolError):
        gateway.receive("one", Data(1, 0, b""), 0.0)
    assert (gateway.errors, gateway.failed) == (2, None)
    with pytest.raises(StreamFailed):
        gateway.rule_broken("one", error)
    assert gateway.failed is ResetCode.INTERNAL
    gateway.detach("one")
    gateway.rule_broken("one", error)
    assert gateway.errors == 3


@pytest.mark.fault(13)
def test_frames_of_a_connection_that_is_not_bound_are_dropped() -> None:
    gateway = bound()
    assert gateway.receive("stranger", HEAD, 0.0) is None
    assert gateway.receive("one", replace(HEAD, sid=2), 0.0) is None
    assert gateway.detach("one")
    assert not gateway.detach("one")
    assert gateway.receive("one", HEAD, 0.0) is None
    assert gateway.dropped == 3
    assert gateway.head is None


# ----------------------------------------------------------------------- what counts


def test_only_what_is_new_is_returned() -> None:
    gateway = bound()
    assert gateway.receive("one", HEAD, 0.0) == HEAD
    assert gateway.receive("one", HEAD, 0.0) is None
    assert gateway.receive("one", ABC, 0.0) == ABC
    assert gateway.receive("one", ABC, 0.0) is None
    assert gateway.duplicates == 3
    assert gateway.position == 3
    assert gateway.receive("one", END, 0.0) == END
    assert gateway.receive("one", END, 0.0) is None
    assert gateway.ended
    assert gateway.frames_to_send(0.0) == [EndAck(1, 3)]
    assert gateway.receive("one", Reset(1, 1, 3, ""), 0.0) is None


@pytest.mark.parametrize(
    "frame",
    [
        Data(1, 0, b"x"),
        END,
        attach_frame(),
        Cancel(1, 1, ""),
        Window(1, 1, 5),
        EndAck(1, 0),
        Data(1, 0, b""),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_three_broken_rules_fail_the_exchange(frame: StreamFrame) -> None:
    gateway = bound()
    for _ in range(2):
        with pytest.raises(RemoteProtocolError) as caught:
            gateway.receive("one", frame, 0.0)
        assert not isinstance(caught.value, StreamFailed)
        assert gateway.failed is None
    with pytest.raises(StreamFailed):
        gateway.receive("one", frame, 0.0)
    assert gateway.failed is ResetCode.INTERNAL


@pytest.mark.fault(51, 53)
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Head(1, 201, ()), ResetCode.DIVERGED),
        (Head(1, 200, ((b"a b", b""),)), ResetCode.BAD_RESPONSE),
        (Data(1, 3, bytes(62)), ResetCode.FLOW_CONTROL),
        (End(1, 3, 0), ResetCode.DIVERGED),
        (End(1, 2, 0), ResetCode.DIVERGED),
    ],
)
def test_what_fails_the_exchange(frame: StreamFrame, code: ResetCode) -> None:
    gateway = bound(HEAD, ABC)
    with pytest.raises(StreamFailed):
        gateway.receive("one", frame, 0.0)
    assert gateway.failed is code
    assert gateway.receive("one", END, 0.0) is None
    assert not gateway.ended
    assert rejected(gateway, attach_frame(epoch=2, hi=3)) is RejectCode.TERMINAL
    gateway.cancel(CancelCode.FAILED, "")
    assert gateway.cancelled is None


@pytest.mark.parametrize("frame", [Data(1, 3, b"d"), End(1, 4, 0)], ids=["DATA", "END"])
def test_nothing_comes_after_the_end(frame: StreamFrame) -> None:
    gateway = bound(HEAD, ABC, END)
    with pytest.raises(StreamFailed):
        gateway.receive("one", frame, 0.0)


def test_a_reset_ends_it() -> None:
    gateway = bound(HEAD)
    reset = Reset(1, ResetCode.DEADLINE, 0, "")
    assert gateway.receive("one", reset, 0.0) == reset
    assert gateway.over
    assert gateway.receive("one", ABC, 0.0) is None
    assert rejected(gateway, attach_frame(epoch=2)) is RejectCode.TERMINAL


# ----------------------------------------------------------------------- what it says


def test_credit_and_the_end() -> None:
    gateway = bound(HEAD, ABC)
    gateway.consumed(3)
    assert gateway.frames_to_send(1.0) == []
    assert gateway.next_deadline() == 1.0 + ACK_DELAY
    gateway.receive("one", END, 1.0)
    assert gateway.frames_to_send(1.0) == [EndAck(1, 3)]  # which says all that a WINDOW would
    assert gateway.next_deadline() is None
    with pytest.raises(LocalProtocolError):
        gateway.consumed(1)


def test_a_detached_stream_says_nothing() -> None:
    gateway = bound(HEAD, ABC)
    gateway.consumed(3)
    gateway.detach("one")
    assert gateway.frames_to_send(9.0) == []
    assert gateway.next_deadline() is None


def test_cancel_is_said_once_and_only_a_reset_counts_afterwards() -> None:
    gateway = bound(HEAD)
    gateway.cancel(CancelCode.NO_BODY, "")
    gateway.cancel(CancelCode.TIMEOUT, "too late")
    assert gateway.frames_to_send(0.0) == [Cancel(1, CancelCode.NO_BODY, "")]
    assert gateway.frames_to_send(0.0) == []
    assert gateway.receive("one", ABC, 0.0) is None
    assert rejected(gateway, attach_frame(epoch=2)) is RejectCode.CANCELLED
    reset = Reset(1, ResetCode.CANCELLED, 3, "")
    assert gateway.receive("one", reset, 0.0) == reset


def test_cancel_after_the_end_is_nothing() -> None:
    gateway = bound(HEAD, ABC, END)
    gateway.cancel(CancelCode.CLIENT_GONE, "")
    assert gateway.frames_to_send(0.0) == [EndAck(1, 3)]


# ----------------------------------------------------------------------- credit


def test_a_function_stands_at_its_limit_once_its_last_credit_is_used() -> None:
    gateway = bound(HEAD, Data(1, 0, bytes(63)))
    assert not gateway.at_limit
    gateway.receive("one", Data(1, 63, b"x"), 0.0)
    assert gateway.at_limit
