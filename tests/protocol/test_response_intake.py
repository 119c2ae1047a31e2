from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import pytest

from protocol.errors import RemoteProtocolError, ResetCode, StreamFailed
from protocol.frames import Data, End, Head
from protocol.receipt import Receipt
from protocol.response_intake import ResponseIntake


def begun(
    *headers: tuple[bytes, bytes], status: int = 200, check_length: bool = True
) -> ResponseIntake:
    intake = ResponseIntake(100, check_length=check_length)
    intake.on_head(Head(1, status, headers))
    return intake


def length(value: bytes) -> tuple[bytes, bytes]:
    return b"content-length", value


def end(data: bytes) -> End:
    return End(1, len(data), crc32(data))


def test_only_what_is_new() -> None:
    intake = begun((b"A", b"b"))
    assert intake.head == Head(1, 200, ((b"a", b"b"),))
    assert intake.on_head(Head(2, 200, ((b"A", b"b"),))) is None
    first = Data(1, 0, b"abc")
    assert intake.on_data(first) is first
    assert intake.on_data(first) is None
    assert intake.on_data(Data(1, 2, b"cd")) == Data(1, 3, b"d")
    assert intake.on_end(end(b"abcd")) == end(b"abcd")
    assert intake.on_end(end(b"abcd")) is None
    assert intake.ended


def test_nothing_before_the_head() -> None:
    intake = ResponseIntake(100, check_length=True)
    with pytest.raises(RemoteProtocolError, match="DATA before HEAD"):
        intake.on_data(Data(1, 0, b"x"))
    with pytest.raises(RemoteProtocolError, match="END before HEAD"):
        intake.on_end(end(b""))
    assert intake.body.position == 0


def test_another_head_fails() -> None:
    intake = begun()
    with pytest.raises(StreamFailed) as caught:
        intake.on_head(Head(1, 201, ()))
    assert caught.value.reset_code is ResetCode.DIVERGED
    assert intake.head == Head(1, 200, ())


def test_a_bad_head_fails_by_name() -> None:
    with pytest.raises(StreamFailed, match="x y") as caught:
        begun((b"x y", b"1"))
    assert caught.value.reset_code is ResetCode.BAD_RESPONSE


def test_the_body_must_have_its_content_length() -> None:
    with pytest.raises(StreamFailed) as caught:
        begun(length(b"2")).on_data(Data(1, 0, b"abc"))
    assert caught.value.reset_code is ResetCode.BAD_RESPONSE
    intake = begun(length(b"4"))
    intake.on_data(Data(1, 0, b"abc"))
    with pytest.raises(StreamFailed) as caught:
        intake.on_end(end(b"abc"))
    assert caught.value.reset_code is ResetCode.BAD_RESPONSE
    assert not intake.ended
    intake.on_data(Data(1, 3, b"d"))
    assert intake.on_end(end(b"abcd"))


@pytest.mark.parametrize(("status", "check"), [(204, True), (304, True), (200, False)])
def test_a_response_that_cannot_have_a_body_is_not_measured(status: int, check: bool) -> None:
    intake = begun(length(b"10"), status=status, check_length=check)
    assert intake.on_end(end(b""))


def receipt(data: bytes, **changes: object) -> Receipt:
    plain = Receipt("ab" * 16, 1, "end", None, len(data), crc32(data))
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_receipt_brings_what_is_missing_beyond_any_credit() -> None:
    body = bytes(1000)
    intake = ResponseIntake(100, check_length=True)
    records = intake.complete(receipt(body, head=(200, ()), tail=(0, body)), 1)
    assert records == [Head(1, 200, ()), Data(1, 0, body), end(body)]
    assert intake.complete(receipt(body, head=(200, ()), tail=(0, body)), 1) == []


def test_a_receipt_of_an_empty_body() -> None:
    intake = begun()
    assert intake.complete(receipt(b"", tail=(0, b"")), 1) == [end(b"")]


def test_a_receipt_that_leaves_a_gap() -> None:
    with pytest.raises(RemoteProtocolError, match="gap"):
        begun().complete(receipt(b"abc", tail=(1, b"bc")), 1)
