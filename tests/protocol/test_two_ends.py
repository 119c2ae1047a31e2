"""Both ends joined in memory: every cut, every credit, every order; the bytes stay the same."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CancelCode, RejectCode, ResetCode
from protocol.frames import Attached, Cancel, Data, End, EndAck, Head, Reject, Reset
from protocol.function_stream import FunctionState, FunctionStream
from protocol.gateway_stream import GatewayStream
from protocol.limits import ACK_DELAY
from tests.protocol.link import LIMITS, SECRET, XID, Link, Session, StuckError, envelope

RESPONSE = random.Random(1).randbytes(300)


def pair(**changes: object) -> tuple[FunctionStream, GatewayStream]:
    function = FunctionStream(envelope(**changes), secret=SECRET, limits=LIMITS)
    gateway = GatewayStream(XID, window=64, limits=LIMITS, upload=changes.get("body") == "stream")
    return function, gateway


def attached(**changes: object) -> Link:
    """A link on which ATTACH was answered by ATTACHED."""
    link = Link(*pair(**changes))
    link.attach()
    link.transfer()
    return link


# ----------------------------------------------------------------------- cuts


@pytest.mark.fault(4, 5, 6, 7, 8)
@settings(max_examples=300)
@given(
    response=st.binary(max_size=600),
    upload=st.none() | st.binary(max_size=300),
    budgets=st.lists(
        st.tuples(st.none() | st.integers(0, 400), st.none() | st.integers(0, 400)), max_size=6
    ),
    window=st.integers(1, 200),
    write_size=st.integers(1, 100),
    appetite=st.integers(1, 100),
    half_open=st.booleans(),
)
def test_any_writes_reads_and_cuts(
    response: bytes,
    upload: bytes | None,
    budgets: list[tuple[int | None, int | None]],
    window: int,
    write_size: int,
    appetite: int,
    half_open: bool,
) -> None:
    session = Session(
        response,
        upload,
        budgets=budgets,
        window=window,
        write_size=write_size,
        appetite=appetite,
        half_open=half_open,
        reads_all=True,
    )
    session.run()
    session.assert_whole()
    assert bytes(session.uploaded) == (upload or b"")


def test_a_link_that_always_breaks_is_reported_as_stuck() -> None:
    with pytest.raises(StuckError):
        Session(RESPONSE, budgets=[(0, 0)] * 100).run(turns=50)


# ----------------------------------------------------------------------- credit


def test_a_slow_consumer_bounds_what_is_buffered_anywhere() -> None:
    link = attached()
    function, gateway = link.function, link.gateway
    function.start(200, [])
    assert function.write(bytes(1000)) == 64
    link.transfer()
    assert function.room == 0
    assert gateway.position == 64
    gateway.consumed(15)
    assert not link.transfer()  # less than a quarter of the window: worth no frame yet
    gateway.consumed(1)
    assert link.transfer()
    assert function.room == 16
    assert function.write(bytes(1000)) == 16


def test_a_quiet_stream_acknowledges_after_some_time() -> None:
    link = attached()
    link.function.start(200, [])
    link.function.write(b"x")
    link.transfer(5.0)
    link.gateway.consumed(1)
    link.transfer(5.0)
    assert link.function.room == 63
    deadline = link.gateway.next_deadline()
    assert deadline is not None
    assert deadline == 5.0 + ACK_DELAY
    link.transfer(deadline)
    assert link.function.room == 64
    assert link.gateway.next_deadline() is None


def test_a_grown_window_reaches_the_sender_without_consumption() -> None:
    link = attached()
    link.gateway.grow(128)
    link.transfer()
    link.function.start(200, [])
    assert link.function.write(bytes(1000)) == 128


# ----------------------------------------------------------------------- fencing


@pytest.mark.fault(11, 12, 13)
def test_a_duplicate_attach_fences_the_older_connection() -> None:
    old = attached()
    function, gateway = old.function, old.gateway
    function.start(200, [])
    function.write(b"first")
    old.send_up()  # in flight on the old connection
    new = Link(function, gateway, sid=2)
    new.attach()
    new.deliver_up()
    old.deliver_up()
    assert gateway.dropped == 2
    assert gateway.bound is new
    assert not old.records
    new.transfer()
    assert [type(record) for record in new.records] == [Head, Data]
    assert not gateway.detach(old)
    assert gateway.detach(new)


@pytest.mark.fault(12)
def test_the_answer_to_an_older_attach_is_ignored() -> None:
    function, gateway = pair()
    old, new = Link(function, gateway), Link(function, gateway, sid=2)
    old.attach()
    old.deliver_up()
    new.attach()
    old.deliver_down()
    assert function.dropped == 1
    new.transfer()
    assert function.state is FunctionState.ATTACHED


@pytest.mark.fault(12)
def test_an_attach_that_comes_late_is_stale() -> None:
    function, gateway = pair()
    old, new = Link(function, gateway), Link(function, gateway, sid=2)
    old.attach()
    new.attach()
    new.transfer()
    old.deliver_up()
    assert isinstance(old.answers[0], Reject)
    assert old.answers[0].code == RejectCode.STALE
    assert gateway.bound is new


# ----------------------------------------------------------------------- ends


@pytest.mark.fault(8)
def test_a_lost_end_ack_is_given_again() -> None:
    link = attached()
    function, gateway = link.function, link.gateway
    function.start(200, [])
    function.end()
    link.send_up()
    link.deliver_up()
    link.send_down()
    assert gateway.over
    link.cut()
    again = Link(function, gateway, sid=2)
    again.attach()
    again.transfer()
    assert function.end_acknowledged
    assert not again.records


@pytest.mark.fault(8)
def test_a_tombstone_answers_end_and_rejects_attach() -> None:
    link = attached()
    function, gateway = link.function, link.gateway
    function.start(200, [])
    function.end()
    link.send_up()
    link.deliver_up()
    gateway.terminate(RejectCode.TERMINAL)
    link.send_down()
    link.down.messages.clear()
    end = End(1, 0, 0)
    assert gateway.receive(link, end, 0.0) is None
    assert gateway.frames_to_send(0.0) == [EndAck(1, 0)]
    link.cut()
    again = Link(function, gateway, sid=2)
    again.attach()
    again.transfer()
    assert function.rejected is not None
    assert function.rejected.code == RejectCode.TERMINAL
    receipt = function.receipt()
    assert (receipt.status, receipt.tail, receipt.head) == ("end", None, None)


@pytest.mark.fault(8)
def test_a_tombstone_refuses_as_the_stream_would() -> None:
    link = attached()
    gateway = link.gateway
    gateway.terminate(RejectCode.CANCELLED)
    frame = link.function.attach(2)
    frames = [frame, replace(frame, secret=bytes(16)), replace(frame, inv=7, secret=bytes(16))]
    refusals = [gateway.tombstone().refuse(one) for one in frames]
    assert refusals == [gateway.attach(one, "another", 0.0) for one in frames]
    codes = [RejectCode.CANCELLED, RejectCode.BAD_TOKEN, RejectCode.CANCELLED]
    assert [refusal.code for refusal in refusals] == codes


@pytest.mark.fault(9)
def test_the_tail_completes_what_the_connection_could_not() -> None:
    link = attached()
    function, gateway = link.function, link.gateway
    function.start(200, [(b"x", b"y")])
    function.write(b"hello ")
    link.transfer()
    link.cut()
    function.write(b"world")
    function.end()
    receipt = function.receipt(dial="refused")
    assert receipt.head == (200, ((b"x", b"y"),))
    assert receipt.dial == "refused"
    records = gateway.apply_receipt(receipt)
    assert records == [Data(1, 6, b"world"), End(1, 11, receipt.crc)]
    assert gateway.ended
    assert gateway.apply_receipt(receipt) == []


def test_an_inline_answer_needs_no_connection() -> None:
    function, gateway = pair()
    function.start(201, [(b"A", b"b")])
    function.write(b"body")
    function.end()
    receipt = function.inline_answer()
    assert receipt is not None
    assert function.state is FunctionState.DONE
    head, data, end = gateway.apply_receipt(receipt)
    assert head == Head(0, 201, ((b"a", b"b"),))
    assert data == Data(0, 0, b"body")
    assert isinstance(end, End)


@pytest.mark.fault(53)
def test_a_diverged_function_resets_itself() -> None:
    link = attached()
    function, gateway = link.function, link.gateway
    function.start(200, [])
    function.write(b"abc")
    link.send_up()
    link.up.messages[-1] = link.up.messages[-1].replace(b"abc", b"abd")
    link.deliver_up()
    link.cut()
    again = Link(function, gateway, sid=2)
    again.attach()
    again.transfer()
    reset = again.records[-1]
    assert isinstance(reset, Reset)
    assert reset.code == ResetCode.DIVERGED
    assert function.receipt().status == "reset"


# ----------------------------------------------------------------------- cancel


def test_cancel_reaches_an_attached_function() -> None:
    link = attached()
    function, gateway = link.function, link.gateway
    function.start(200, [])
    gateway.cancel(CancelCode.CLIENT_GONE, "gone")
    link.transfer()
    assert function.cancelled == Cancel(1, CancelCode.CLIENT_GONE, "gone")
    assert function.write(b"x") == 0
    assert function.room == 0
    function.reset(ResetCode.CANCELLED, "stopped")
    link.transfer()
    assert [type(record) for record in link.records] == [Reset]
    assert gateway.over
    assert function.state is FunctionState.DONE


def test_cancel_of_a_detached_function_waits_for_its_attach() -> None:
    link = attached()
    function, gateway = link.function, link.gateway
    link.cut()
    gateway.cancel(CancelCode.CLIENT_GONE, "gone")
    assert gateway.frames_to_send(0.0) == []
    again = Link(function, gateway, sid=2)
    again.attach()
    again.transfer()
    assert function.rejected is not None
    assert function.rejected.code == RejectCode.CANCELLED
    assert function.state is FunctionState.DONE


def test_cancel_that_crosses_the_end_still_lets_the_function_return() -> None:
    link = attached()
    function, gateway = link.function, link.gateway
    function.start(200, [])
    function.write(b"done")
    function.end()
    link.send_up()
    gateway.cancel(CancelCode.CLIENT_GONE, "gone")
    link.send_down()
    link.deliver_up()
    link.transfer()
    assert function.cancelled is None
    assert function.end_acknowledged
    assert not link.records


# ----------------------------------------------------------------------- connections


def test_a_connection_carries_one_exchange_after_another() -> None:
    link = attached()
    link.function.start(200, [])
    link.function.end()
    link.transfer()
    link.function_connection.release(1, 0.0)
    link.gateway_connection.release(1, 0.0)
    link.gateway.detach(link)
    link.function_connection.park()
    link.transfer()
    assert link.gateway_connection.next_deadline() == 300.0
    link.function, link.gateway = pair()
    link.sid = 2
    link.attach()
    link.transfer()
    assert isinstance(link.answers[-1], Attached)
    assert link.function.state is FunctionState.ATTACHED


def test_a_second_attach_while_one_is_live_is_refused() -> None:
    link = attached()
    other, gateway = pair()
    link.up.push([other.attach(2)])
    link.gateway = gateway
    link.deliver_up()
    (answer,) = link.gateway_connection.frames_to_send(0.0)
    assert isinstance(answer, Reject)
    assert answer.code == RejectCode.LIMIT


def test_a_dial_that_no_stream_needed_waits_for_the_next() -> None:
    link = Link(*pair())
    link.function_connection.park()
    assert link.transfer() == 1
    assert link.gateway_connection.next_deadline() == 300.0
    link.attach()
    link.transfer()
    assert link.function.state is FunctionState.ATTACHED


@pytest.mark.parametrize("broken", ["ended by a receipt", "failed"])
def test_a_reset_that_changes_nothing_leaves_the_connection_all_the_same(broken: str) -> None:
    link = attached()
    link.function.start(200, [])
    if broken == "failed":
        link.gateway._fail(ResetCode.LOST)
    else:
        link.function.end()
        link.gateway.apply_receipt(link.function.receipt())
    link.function.reset(ResetCode.HANDLER_ERROR, "raised")
    link.send_up()
    link.deliver_up()
    assert link.gateway.over
    assert not link.records
