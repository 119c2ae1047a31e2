from __future__ import annotations

import contextlib
import sys
import tracemalloc
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgpack import fallback

from protocol import codec
from protocol.codec import FRAME_TABLE, PART_MIN, RESERVED_TYPES, decode, encode, encode_parts
from protocol.errors import CloseCode, LocalProtocolError, ProtocolError, RemoteProtocolError
from protocol.frames import Attached, Cancel, Data, EndAck, Frame, Park, Ping, Reject
from protocol.limits import MAX_INT, MAX_MAX_FRAME
from tests.protocol.samples import SAMPLES, any_frame

pack: Any = msgpack.packb


@pytest.mark.parametrize("frame", SAMPLES, ids=lambda frame: type(frame).__name__)
def test_round_trip_of_a_sample(frame: Frame) -> None:
    message = encode(frame)
    assert decode(message) == frame
    assert decode(bytearray(message)) == frame
    assert decode(memoryview(message)) == frame


@given(any_frame)
def test_round_trip(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@given(any_frame)
def test_the_parts_of_a_small_message_are_one(frame: Frame) -> None:
    assert encode_parts(frame) == (encode(frame),)


@pytest.mark.parametrize(
    "frame",
    [Ping(1), Data(1, 0, b"x"), Data(1, 0, bytes(PART_MIN))],
    ids=["PING", "small", "large"],
)
def test_a_message_that_is_broken_off_leaves_nothing_to_the_next(
    frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a signal's handler, say, where msgpack is without its extension; by want of memory with it."""
    monkeypatch.setattr(codec, "_packer", fallback.Packer())

    def strike(_: object, what: str, called: object) -> None:
        if what == "c_return" and getattr(called, "__name__", "") == "getvalue":
            sys.setprofile(None)
            raise KeyboardInterrupt

    whole = encode_parts(frame)
    sys.setprofile(strike)
    with pytest.raises(KeyboardInterrupt):
        encode_parts(frame)
    assert encode_parts(frame) == whole


@pytest.mark.parametrize("size", [PART_MIN, 65_535, 65_536, MAX_MAX_FRAME])
@pytest.mark.parametrize("offset", [0, 300, 2**40])
def test_a_large_payload_is_a_part_by_itself(size: int, offset: int) -> None:
    payload = memoryview(bytes(size))
    frame = Data(7, offset, cast("bytes", payload))
    head, body = encode_parts(frame)
    assert body is payload
    assert b"".join((head, body)) == encode(frame)


_element = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=8,
)


def quiet(message: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode(message)


@given(st.binary(max_size=300))
def test_any_bytes_raise_nothing_but_a_protocol_error(message: bytes) -> None:
    quiet(message)
    quiet(b"\x95" + message)


@given(st.integers(0, 130), st.lists(_element, max_size=13))
@example(4, [1, MAX_INT, b"x"])
def test_any_elements_raise_nothing_but_a_protocol_error(number: int, rest: list[object]) -> None:
    quiet(pack([number, *rest]))


@pytest.mark.fault(49)
@given(any_frame, st.data())
def test_a_damaged_message_raises_nothing_but_a_protocol_error(
    frame: Frame, data: st.DataObject
) -> None:
    message = bytearray(encode(frame))
    at = data.draw(st.integers(0, len(message) - 1))
    message[at] = data.draw(st.integers(0, 255))
    quiet(bytes(message))
    quiet(bytes(message[:at]))


BOMBS = {
    "nested": b"\x91" * 60_000,
    "nested array16": b"\xdc\xff\xff" * 20_000,
    "array32": b"\x92\x04\xdd\xff\xff\xff\xff",
    "map32": b"\x92\x04\xdf\xff\xff\xff\xff",
    "bin32": b"\x92\x04\xc6\xff\xff\xff\xff",
    "str32": b"\x92\x04\xdb\xff\xff\xff\xff",
    "ext32": b"\x92\x04\xc9\xff\xff\xff\xff\x01",
    "timestamp": b"\x92\x46\xd6\xff\x00\x00\x00\x00",
    "long list": b"\x92\x46\xdc\xff\xff" + b"\xc0" * 65535,
}


@pytest.mark.fault(50)
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_allocates(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            decode(BOMBS[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "not an array"),
        (b"\x90", "not an array"),
        (b"\xdc\x00\x00", "empty array"),
        (b"\xdd\x00\x00\x00\x01\x0c", "not an array"),
        (b"\x80", "not an array"),
        (b"\x91", "undecodable"),
        (b"\x91\x0c\x0c", "undecodable"),
        (pack([12.0]), "integer from 0 to 127"),
        (pack([True]), "integer from 0 to 127"),
        (pack(["a"]), "integer from 0 to 127"),
        (pack([-1]), "integer from 0 to 127"),
        (pack([128]), "integer from 0 to 127"),
        (pack([14]), "unknown critical"),
        (pack([63]), "unknown critical"),
        (pack([10]), "0 fields where 1"),
        (pack([10, -1]), "PING.nonce"),
        (pack([10, 2**63]), "PING.nonce"),
        (pack([10, True]), "PING.nonce"),
        (pack([10, None]), "PING.nonce"),
        (pack([0, 1, b"short", 1, 1, "", bytes(16), 0, 0, 0, 0, 0]), "ATTACH.xid"),
        (pack([6, 0, 1]), "END_ACK.sid: must be an integer from 1 to 2"),
        (pack([4, 1, 0, b""]), "DATA.data"),
        (pack([4, 1, 0, "x"]), "DATA.data"),
        (pack([4, 1, -1, b"x"]), "DATA.offset"),
        (pack([4, 0, 0, b"x"]), "DATA.sid"),
        (pack([4, 1, MAX_INT, b"x"]), "beyond"),
        (pack([4, MAX_INT + 1, 0, b"x"]), "sid"),
        (pack([5, 1, 0, 2**32, [], 0]), "END.crc"),
        (pack([3, 1, 200, {}, 0]), "HEAD.headers"),
        (pack([3, 1, 200, [[b"a"]], 0]), "HEAD.headers"),
        (pack([3, 1, 200, [["a", "b"]], 0]), "HEAD.headers"),
        (pack([3, 1, 200, [b"ab"], 0]), "HEAD.headers"),
        (pack([8, 1, 1, 1, "x" * 257]), "RESET.message"),
        (pack([8, 1, 1, 1, b"x"]), "RESET.message"),
        (b"\x94\x09\x01\x01\xa1\xff", "undecodable"),
        (pack([1, 1, 0, 0, 0, 0, 0, [65536, 1, 1, 1]]), "ATTACHED.limits"),
        (pack([1, 1, 0, 0, 0, 0, 0, [65536, 1, None, 1, 1]]), "ATTACHED.limits"),
        (pack([1, 1, 0, 0, 0, 0, 0, [65536, 1, [], 1, 1]]), "ATTACHED.limits"),
        (pack([1, 1, 0, 0, 0, 0, 0, [1, 1, 1, 1, 1]]), "max_frame"),
        (pack([1, 1, 0, 0, 0, 0, 0, [65536, 1, 1, 1, 1, 1.5]]), "ATTACHED.limits"),
        (pack([12, 1.5]), "not ours to read: a float"),
        (pack([12, {}]), "not ours to read: a dict"),
        (pack([12, [[[]]]]), "nested too deep"),
        (pack([64, [[0.5]]]), "a float"),
        (pack([64, -1]), "0 to 2"),
    ],
)
def test_what_is_refused(message: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason) as caught:
        decode(message)
    assert caught.value.close_code is CloseCode.PROTOCOL


@pytest.mark.parametrize("other", [True, 1.0], ids=["bool", "float"])
def test_limits_that_only_equal_good_ones_are_refused(other: object) -> None:
    good = [1, 1, 0, 0, 0, 0, 0, [65536, 1, 1, 1, 1]]
    assert isinstance(decode(pack(good)), Attached)
    with pytest.raises(RemoteProtocolError, match=r"ATTACHED\.limits"):
        decode(pack([*good[:-1], [65536, 1, 1, 1, other]]))


def test_sizes() -> None:
    assert isinstance(decode(encode(Data(1, 0, bytes(4096))), max_frame=4096), Data)
    too_large = (
        encode(Data(1, 0, bytes(4097))),
        pack([4, 1, 0, bytes(4097), "more"]),
        bytes(65536 + 1025),
    )
    for message in too_large:
        with pytest.raises(RemoteProtocolError) as caught:
            decode(message, max_frame=4096)
        assert caught.value.close_code is CloseCode.FRAME_TOO_LARGE


def test_the_error_shows_what_kind_of_message_it_was_and_no_more() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(b"\xc1" + b"A" * 1000)
    assert str(caught.value).count("41") == 1


@pytest.mark.fault(64)
def test_further_elements_are_ignored() -> None:
    assert decode(pack([10, 5, "later", b"x", None, True, [1, ["x"]]])) == Ping(5)
    assert decode(pack([4, 1, 0, b"x", 9])) == Data(1, 0, b"x")
    assert decode(pack([6, 1, 2, *([0] * 20)])) == EndAck(1, 2)


def test_an_unknown_type_that_may_be_ignored() -> None:
    assert decode(pack([64, "whatever", [1]])) is None
    assert decode(pack([127])) is None


def test_reserved_types_are_free() -> None:
    numbers = {row.number for row in FRAME_TABLE}
    assert numbers == set(range(14))
    assert not numbers & set(RESERVED_TYPES)


def test_other_integer_encodings_mean_the_same() -> None:
    assert decode(b"\x92\xcc\x0a\xcf\x00\x00\x00\x00\x00\x00\x00\x05") == Ping(5)
    assert decode(b"\xdc\x00\x01\x0c") == Park()


def test_what_cannot_be_encoded_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError, match="Cancel"):
        encode(Cancel(1, 2**70, "x"))
    with pytest.raises(ProtocolError):
        encode(Reject(1, 1, None, object(), None))  # type: ignore[arg-type]
