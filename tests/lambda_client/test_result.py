from __future__ import annotations

import io
import json
import os
import socket
from decimal import Decimal
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, cast

import pytest

from lambda_client import result

if TYPE_CHECKING:
    from typing import BinaryIO

EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize(
    ("chunk", "data"),
    [
        (b"a", b"a"),
        ("ä€", "ä€".encode()),
        (bytearray(b"b"), b"b"),
        (memoryview(b"c"), b"c"),
        (EVERY_BYTE, EVERY_BYTE),
    ],
)
def test_chunks_are_bytes_or_utf8(chunk: object, data: bytes) -> None:
    assert result.to_bytes(chunk) == data


@pytest.mark.parametrize("chunk", [1, None, ["a"], {"statusCode": 200}])
def test_other_chunks_are_refused_by_type(chunk: object) -> None:
    with pytest.raises(TypeError, match=type(chunk).__name__):
        result.to_bytes(chunk)


def test_head_takes_repeats_and_cookies() -> None:
    status, headers = result.head(
        {
            "statusCode": "201",
            "headers": {"X-One": "1", "Link": ["a", "b"], "Age": 5},
            "cookies": ["a=1; Path=/", "b=2"],
        },
        result.STREAM_TYPE,
    )
    assert status == 201
    assert headers == (
        (b"x-one", b"1"),
        (b"link", b"a"),
        (b"link", b"b"),
        (b"age", b"5"),
        (b"set-cookie", b"a=1; Path=/"),
        (b"set-cookie", b"b=2"),
        (b"content-type", b"application/octet-stream"),
    )


def test_the_users_content_type_stays_alone() -> None:
    _, headers = result.head({"headers": {"Content-Type": "text/html"}}, result.STREAM_TYPE)
    assert headers == ((b"content-type", b"text/html"),)


def test_head_takes_what_a_rest_api_would() -> None:
    _, headers = result.head(
        {
            "headers": {"X-One": "1", "x-two": "not this one"},
            "multiValueHeaders": {"Content-Type": ["text/html"], "X-Two": ["2", "3"]},
        },
        result.BUFFERED_TYPE,
    )
    assert headers == (
        (b"x-one", b"1"),
        (b"content-type", b"text/html"),
        (b"x-two", b"2"),
        (b"x-two", b"3"),
    )


@pytest.mark.parametrize(
    ("value", "text"), [(True, b"true"), (False, b"false"), (1.5, b"1.5"), (Decimal(7), b"7")]
)
def test_header_values_are_those_that_a_function_url_makes_of_them(
    value: object, text: bytes
) -> None:
    _, headers = result.head({"headers": {"x-a": value, "content-type": "a/b"}}, "c/d")
    assert headers == ((b"x-a", text), (b"content-type", b"a/b"))


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        ({"headers": {"x-a": None}}, "'x-a' is a str, not NoneType"),
        ({"headers": {"x-a": ["b", {}]}}, "'x-a' is a str, not dict"),
        ({"headers": {None: "b"}}, "'headers' is a str, not NoneType"),
        ({"multiValueHeaders": {"x-a": [None]}}, "'x-a' is a str, not NoneType"),
        ({"cookies": ["a=1", None]}, "'cookies' is a str, not NoneType"),
    ],
)
def test_what_is_no_text_never_becomes_any(metadata: dict[str, Any], what: str) -> None:
    with pytest.raises(TypeError, match=what):
        result.head(metadata, result.STREAM_TYPE)


@pytest.mark.parametrize(
    "metadata",
    [
        {"headers": ["a"]},
        {"headers": "a: b"},
        {"multiValueHeaders": ["a"]},
        {"cookies": "a=1"},
        {"statusCode": "ok"},
    ],
)
def test_a_head_of_another_shape_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        result.head(metadata, result.STREAM_TYPE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"statusCode": 200}, True),
        ({"body": b"bytes"}, True),
        ({"body": iter(())}, True),
        ({"body": io.BytesIO()}, True),
        ({"body": "text"}, False),
        ({"body": ["a"]}, False),
        ({"message": "hello"}, False),
        ("text", False),
        (None, False),
        ([1], False),
    ],
)
def test_which_values_are_responses(value: object, expected: bool) -> None:
    assert result.is_response(value) is expected


def test_bodies_that_are_all_there() -> None:
    assert result.body_of({}) == b""
    assert result.body_of({"body": None}) == b""
    assert result.body_of({"body": "ä"}) == "ä".encode()
    assert result.body_of({"body": EVERY_BYTE}) == EVERY_BYTE
    assert result.body_of({"body": "AAE=", "isBase64Encoded": True}) == b"\x00\x01"


@pytest.mark.parametrize("body", [5, 1.5, {"a": 1}, object()])
def test_bodies_of_another_kind_are_refused(body: object) -> None:
    with pytest.raises(TypeError, match=type(body).__name__):
        result.body_of({"body": body})


def test_files_are_read_in_chunks() -> None:
    chunks = list(result.file_chunks(io.BytesIO(b"x" * (result.FILE_CHUNK + 1))))
    assert [len(chunk) for chunk in chunks] == [result.FILE_CHUNK, 1]


def test_a_pipe_is_read_as_it_is_written() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as reader, open(write_end, "wb", buffering=0) as writer:
        chunks = result.file_chunks(reader)
        for word in (b"one", b"two"):
            writer.write(word)
            assert next(chunks) == word
        writer.close()
        assert list(chunks) == []


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_file_that_does_not_wait_is_no_end(buffering: int) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with (
        open(read_end, "rb", buffering=buffering) as reader,
        open(write_end, "wb", buffering=0) as writer,
    ):
        writer.write(b"one")
        chunks = result.file_chunks(reader)
        assert next(chunks) == b"one"
        with pytest.raises(BlockingIOError, match="has to wait for its bytes"):
            next(chunks)


@pytest.mark.parametrize(("body", "whole"), [(b"12345", True), (b"123", False)])
def test_an_answer_that_broke_off_is_no_end(body: bytes, *, whole: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n" + body)
        theirs.shutdown(socket.SHUT_WR)
        answer = HTTPResponse(ours)
        answer.begin()
        chunks = result.file_chunks(cast("BinaryIO", answer))
        assert next(chunks) == body
        with pytest.raises(
            StopIteration if whole else EOFError, match=None if whole else "2 bytes"
        ):
            next(chunks)
        answer.close()


def test_payload_of_text_and_of_bytes() -> None:
    headers = ((b"vary", b"a"), (b"vary", b"b"), (b"set-cookie", b"c=1"), (b"set-cookie", b"d=2"))
    assert result.payload(200, headers, "ä".encode()) == {
        "statusCode": 200,
        "headers": {"vary": "a, b"},
        "cookies": ["c=1", "d=2"],
        "body": "ä",
        "isBase64Encoded": False,
    }
    answer = result.payload(200, (), EVERY_BYTE)
    assert answer["isBase64Encoded"] is True
    assert result.body_of(answer) == EVERY_BYTE


HEADERS = ((b"vary", b"a"), (b"vary", b"b"), (b"set-cookie", b"c=1"), (b"set-cookie", b"d=2"))


def test_payload_1_repeats_headers() -> None:
    assert result.payload_1(200, HEADERS, b"x") == {
        "statusCode": 200,
        "multiValueHeaders": {"vary": ["a", "b"], "set-cookie": ["c=1", "d=2"]},
        "body": "x",
        "isBase64Encoded": False,
    }


def test_without_multi_value_headers_cookies_differ_by_their_names_case() -> None:
    answer = result.payload_1_single(200, HEADERS, b"x")
    assert answer["headers"] == {"vary": "a, b", "set-cookie": "c=1", "Set-cookie": "d=2"}
    assert "cookies" not in answer
    many = result.payload_1_single(200, tuple((b"set-cookie", b"%d" % n) for n in range(50)), b"")
    assert sorted(map(int, many["headers"].values())) == list(range(50))
    assert {name.lower() for name in many["headers"]} == {"set-cookie"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"version": "2.0", "requestContext": {"http": {}}}, result.payload),
        ("anything", result.payload),
        ({"httpMethod": "GET", "requestContext": None}, result.payload_1),
        ({"httpMethod": "GET", "requestContext": {"elb": {}}}, result.payload_1_single),
        (
            {"httpMethod": "GET", "requestContext": {"elb": {}}, "multiValueHeaders": {}},
            result.payload_1,
        ),
    ],
)
def test_an_event_is_answered_in_its_senders_format(event: object, expected: object) -> None:
    assert result.payload_for(event) is expected


def test_json_as_the_runtime_writes_it() -> None:
    assert json.loads(result.to_json({"a": Decimal("1.5"), "b": "ä"})) == {"a": 1.5, "b": "ä"}
    with pytest.raises(TypeError, match="object"):
        result.to_json(object())


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_content_names_no_type(status: int) -> None:
    assert result.head({"statusCode": status}, "text/plain") == (status, ())


def test_header_bytes_are_taken_as_they_are() -> None:
    head = result.head({"headers": {b"X-A": b"b", "content-type": ["c"]}}, "text/plain")
    assert head == (200, ((b"x-a", b"b"), (b"content-type", b"c")))
