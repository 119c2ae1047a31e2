from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.codec import FRAME_TABLE, Direction, FrameType
from protocol.connection import Connection, FunctionConnection, GatewayConnection
from protocol.errors import (
    CloseCode,
    GoawayCode,
    LocalProtocolError,
    RejectCode,
    RemoteProtocolError,
)
from protocol.frames import (
    Attach,
    Attached,
    Data,
    EndAck,
    Goaway,
    Head,
    Park,
    Ping,
    Pong,
    Reject,
    Reset,
)
from protocol.limits import MAX_LATE_RATE, Limits
from tests.protocol.link import LIMITS, SECRET, XID
from tests.protocol.samples import SAMPLES

ATTACH = Attach(1, XID, 1, 1, "token", SECRET, 0, 0, 4, 0, 0)


def function() -> FunctionConnection:
    connection = FunctionConnection(LIMITS, 0.0)
    connection.open_stream(1, 0.0)
    return connection


def gateway() -> GatewayConnection:
    connection = GatewayConnection(LIMITS, 0.0)
    assert connection.receive(ATTACH, 0.0) == ATTACH
    connection.accept(1, 0.0)
    return connection


def closes(connection: Connection, now: float) -> CloseCode:
    with pytest.raises(RemoteProtocolError) as caught:
        connection.handle_timer(now)
    return caught.value.close_code


# ----------------------------------------------------------------------- frames


@pytest.mark.parametrize("row", FRAME_TABLE, ids=lambda row: row.name)
def test_each_frame_comes_from_the_side_that_may_send_it(row: FrameType) -> None:
    (frame,) = [sample for sample in SAMPLES if type(sample) is row.frame]
    if row.direction is not Direction.GATEWAY_TO_FUNCTION:
        fresh = row.name in ("ATTACH", "PARK")
        connection = GatewayConnection(LIMITS, 0.0) if fresh else gateway()
        connection.receive(frame, 0.0)
    else:
        with pytest.raises(RemoteProtocolError, match="wrong direction"):
            gateway().receive(frame, 0.0)
    if row.direction is not Direction.FUNCTION_TO_GATEWAY:
        function().receive(frame, 0.0)
    else:
        with pytest.raises(RemoteProtocolError, match="wrong direction"):
            function().receive(frame, 0.0)


def test_frames_of_a_stream_that_was_never_bound() -> None:
    for connection in (function(), gateway()):
        with pytest.raises(RemoteProtocolError, match="never bound"):
            connection.receive(EndAck(2, 0), 0.0)


def test_frames_of_a_stream_that_is_over_are_dropped() -> None:
    for connection in (function(), gateway()):
        connection.release(2, 0.0)
        assert connection.receive(EndAck(1, 0), 0.0) == EndAck(1, 0)
        connection.release(1, 0.0)
        assert connection.receive(EndAck(1, 0), 0.0) is None
        assert connection.dropped == 1


def test_the_functions_stream_ids_rise() -> None:
    connection = function()
    with pytest.raises(LocalProtocolError, match="active"):
        connection.open_stream(2, 0.0)
    connection.release(1, 0.0)
    with pytest.raises(LocalProtocolError, match="not above"):
        connection.open_stream(1, 0.0)
    assert connection.active is None
    connection.open_stream(5, 0.0)


def test_the_function_adopts_the_limits_of_the_gateway() -> None:
    connection = function()
    limits = Limits(ping_ms=1000)
    connection.receive(Attached(1, 0, 0, 0, 0, 0, limits), 0.0)
    assert connection.limits is limits
    assert connection.next_deadline() == 1.0


def test_a_reject_frees_the_connection() -> None:
    connection = function()
    reject = Reject(1, RejectCode.TERMINAL, None, "", None)
    assert connection.receive(reject, 0.0) == reject
    assert connection.active is None


@pytest.mark.parametrize("sid", [1, 0])
def test_a_reused_or_falling_stream_id_closes(sid: int) -> None:
    connection = gateway()
    with pytest.raises(RemoteProtocolError, match="not above"):
        connection.receive(replace(ATTACH, sid=sid), 0.0)


def test_frames_after_a_refused_attach_are_dropped() -> None:
    connection = GatewayConnection(LIMITS, 0.0)
    connection.receive(ATTACH, 0.0)
    reject = Reject(1, RejectCode.UNKNOWN, None, "", None)
    connection.refuse(reject, 0.0)
    assert connection.has_frames
    assert connection.frames_to_send(0.0) == [reject]
    assert connection.receive(Head(1, 200, ()), 0.0) is None
    assert connection.receive(Data(1, 0, b"x"), 0.0) is None
    assert connection.dropped == 2


def test_three_bad_tokens_close() -> None:
    connection = GatewayConnection(LIMITS, 0.0)
    bad = Reject(1, RejectCode.BAD_TOKEN, None, "", None)
    connection.refuse(bad, 0.0)
    connection.refuse(bad, 0.0)
    with pytest.raises(RemoteProtocolError) as caught:
        connection.refuse(bad, 0.0)
    assert caught.value.close_code is CloseCode.UNAUTHENTICATED


def test_refused_attaches_are_limited_per_second() -> None:
    connection = GatewayConnection(LIMITS, 0.0)

    def refused(sid: int, now: float) -> None:
        connection.receive(replace(ATTACH, sid=sid), now)
        connection.refuse(Reject(sid, RejectCode.UNKNOWN, None, "", None), now)

    for sid in range(1, 21):
        refused(sid, 0.0)
    for sid in range(21, 41):
        refused(sid, 1.0)
    with pytest.raises(RemoteProtocolError, match="ATTACH") as caught:
        refused(41, 1.5)
    assert caught.value.close_code is CloseCode.TOO_FAST


@pytest.mark.parametrize("code", [RejectCode.TERMINAL, RejectCode.CANCELLED])
def test_those_that_only_come_too_late_are_as_many_as_receipts_may_overtake(
    code: RejectCode,
) -> None:
    connection = GatewayConnection(LIMITS, 0.0)
    for sid in range(1, MAX_LATE_RATE + 1):
        connection.receive(replace(ATTACH, sid=sid), 0.0)
        connection.refuse(Reject(sid, code, None, "", None), 0.0)
    with pytest.raises(RemoteProtocolError, match="that are over") as caught:
        connection.refuse(Reject(MAX_LATE_RATE + 1, code, None, "", None), 0.9)
    assert caught.value.close_code is CloseCode.TOO_FAST


def test_accepted_attaches_are_not_limited() -> None:
    connection = GatewayConnection(LIMITS, 0.0)
    for sid in range(1, 1000):
        assert connection.receive(replace(ATTACH, sid=sid), 0.0) is not None
        connection.accept(sid, 0.0)
        connection.release(sid, 0.0)


def test_resets_that_end_nothing_are_limited_per_ten_seconds() -> None:
    connection = gateway()
    for _ in range(51):  # the first one ends the stream
        connection.receive(Reset(1, 1, 0, ""), 0.0)
    with pytest.raises(RemoteProtocolError, match="RESET") as caught:
        connection.receive(Reset(1, 1, 0, ""), 9.9)
    assert caught.value.close_code is CloseCode.TOO_FAST


def test_a_reset_for_each_stream_is_not_limited() -> None:
    connection = GatewayConnection(LIMITS, 0.0)
    for sid in range(1, 1000):
        connection.receive(replace(ATTACH, sid=sid), 0.0)
        connection.accept(sid, 0.0)
        assert connection.receive(Reset(sid, 2, 0, ""), 0.0) is not None
        connection.release(sid, 0.0)


# ----------------------------------------------------------------------- ping, park, goaway


def test_a_ping_is_answered_and_a_flood_is_answered_once() -> None:
    connection = function()
    for nonce in range(100):
        connection.receive(Ping(nonce), 0.0)
    assert connection.has_frames
    assert connection.frames_to_send(0.0) == [Pong(99)]
    assert connection.frames_to_send(0.0) == []


def test_an_unknown_pong_is_ignored() -> None:
    connection = function()
    assert connection.receive(Pong(5), 0.0) is None
    assert connection.rtt is None


@pytest.mark.parametrize("make", [function, gateway])
def test_silence_is_asked_about_and_then_death(make: type[Connection]) -> None:
    connection = make()  # type: ignore[call-arg]
    assert connection.next_deadline() == 10.0
    connection.handle_timer(9.9)
    assert not connection.has_frames
    connection.handle_timer(10.0)
    (ping,) = connection.frames_to_send(10.0)
    assert ping == Ping(1)
    assert connection.next_deadline() == 20.0
    assert closes(connection, 20.0) is CloseCode.DEAD_PEER


def test_any_message_is_a_sign_of_life() -> None:
    connection = function()
    connection.handle_timer(10.0)
    connection.frames_to_send(10.0)
    assert connection.receive(Pong(1), 10.25) is None
    assert connection.rtt == 0.25
    assert connection.next_deadline() == 20.25
    connection.heard(15.0)
    assert connection.next_deadline() == 25.0
    connection.rearm(100.0)
    assert connection.next_deadline() == 110.0


def test_a_parked_connection_is_not_asked() -> None:
    connection = function()
    with pytest.raises(LocalProtocolError):
        connection.park()
    connection.release(1, 0.0)
    assert connection.next_deadline() is None
    connection.handle_timer(1e9)
    connection.park()
    assert connection.frames_to_send(0.0) == []  # the gateway knows


def test_a_connection_that_no_stream_needed_says_so() -> None:
    ours, theirs = FunctionConnection(LIMITS, 0.0), GatewayConnection(LIMITS, 0.0)
    for now in (1.0, 2.0):
        ours.park()
        (park,) = ours.frames_to_send(now)
        assert theirs.receive(park, now) == Park()
        assert theirs.next_deadline() == now + 300.0
    assert theirs.receive(ATTACH, 3.0) == ATTACH


@pytest.mark.parametrize("over", [False, True])
def test_park_after_an_attach_breaks_the_rules(over: bool) -> None:
    connection = gateway()
    if over:
        connection.release(1, 0.0)
    with pytest.raises(RemoteProtocolError, match="PARK after an ATTACH"):
        connection.receive(Park(), 0.0)


def test_goaway_travels() -> None:
    ours, theirs = function(), gateway()
    theirs.go_away(GoawayCode.DRAINING, 25_000, "wss://cluster")
    (goaway,) = theirs.frames_to_send(0.0)
    assert ours.receive(goaway, 0.0) is None
    assert ours.goaway == Goaway(GoawayCode.DRAINING, 25_000, "wss://cluster")
    ours.go_away(GoawayCode.SHUTTING_DOWN, 0)
    (goaway,) = ours.frames_to_send(0.0)
    assert theirs.receive(goaway, 0.0) is None
    assert theirs.goaway == goaway
    ours.release(1, 0.0)
    assert ours.next_deadline() is None  # when it ends is the gateway's to say


def test_after_goaway_a_connection_is_of_no_use_once_its_stream_is_over() -> None:
    connection = gateway()
    connection.go_away(GoawayCode.DRAINING, 25_000)
    assert connection.next_deadline() == 10.0  # the stream goes on
    connection.release(1, 5.0)
    connection.handle_timer(5.9)
    assert closes(connection, 6.0) is CloseCode.GOING_AWAY


# ----------------------------------------------------------------------- the gateway's patience


def test_no_attach() -> None:
    connection = GatewayConnection(LIMITS, 100.0)
    assert connection.next_deadline() == 105.0
    connection.handle_timer(104.9)
    assert closes(connection, 105.0) is CloseCode.NO_ATTACH


def test_parked_for_too_long() -> None:
    connection = gateway()
    connection.release(1, 5.0)
    connection.release(1, 9.0)  # long over
    assert connection.next_deadline() == 305.0
    assert closes(connection, 305.0) is CloseCode.GOING_AWAY


def test_a_refused_attach_leaves_the_connection_parked() -> None:
    connection = GatewayConnection(LIMITS, 0.0)
    assert connection.receive(ATTACH, 4.0) == ATTACH
    connection.refuse(Reject(1, RejectCode.UNKNOWN, None, "", None), 4.0)
    assert closes(connection, 304.0) is CloseCode.GOING_AWAY


def test_a_second_attach_while_a_stream_is_active_is_refused() -> None:
    connection = gateway()
    assert connection.receive(replace(ATTACH, sid=2), 0.0) is None
    (reject,) = connection.frames_to_send(0.0)
    assert isinstance(reject, Reject)
    assert (reject.sid, reject.code) == (2, RejectCode.LIMIT)
    assert connection.receive(Head(2, 200, ()), 0.0) is None
    assert connection.active == 1
