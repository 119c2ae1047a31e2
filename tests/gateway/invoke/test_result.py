"""What functions return, read as a Function URL reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import FunctionFailed
from gateway.exchange.invocation import read_outcome
from gateway.invoke.base import InvokeResult
from gateway.invoke.result import (
    BufferedResponse,
    PossibleReceipt,
    is_possible_receipt,
    parse_result,
    plain_json,
)
from tests.fuzz.allocation import measured_peak

JSON_TYPE = (b"content-type", b"application/json")


def parsed(value: Any) -> BufferedResponse:
    response = parse_result(json.dumps(value).encode())
    assert isinstance(response, BufferedResponse)
    return response


def test_a_whole_response() -> None:
    response = parsed(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "text/plain", "X-Number": 5, "X-Flag": True, "X-F": 1.5},
            "cookies": ["a=1; Secure", "b=2"],
            "body": "Grüße",
            "isBase64Encoded": False,
        }
    )
    assert response == BufferedResponse(
        201,
        (
            (b"content-type", b"text/plain"),
            (b"x-number", b"5"),
            (b"x-flag", b"true"),
            (b"x-f", b"1.5"),
            (b"set-cookie", b"a=1; Secure"),
            (b"set-cookie", b"b=2"),
        ),
        "Grüße".encode(),
    )


@pytest.mark.parametrize("status", [200, 204, 304, 404, 599])
def test_the_shortest_response(status: int) -> None:
    assert parsed({"statusCode": status}) == BufferedResponse(status, (JSON_TYPE,), b"")


def test_null_fields_are_absent_fields() -> None:
    nothing = {"headers": None, "cookies": None, "body": None, "isBase64Encoded": None}
    assert parsed({"statusCode": 200, **nothing}) == parsed({"statusCode": 200})


def test_a_binary_body() -> None:
    response = parsed({"statusCode": 200, "body": "AP+A", "isBase64Encoded": True})
    assert response.body == b"\x00\xff\x80"


@pytest.mark.parametrize(
    "payload",
    [b'{"message":"hello you"}', b"null", b"[1,2]", b"7.5", b"true", b"{}"],
)
def test_any_other_json_is_the_body_itself(payload: bytes) -> None:
    assert parse_result(payload) == BufferedResponse(200, (JSON_TYPE,), payload)


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        (b' { "a" : [ 1.0 , "b c" ] }\n', b'{"a":[1.0,"b c"]}'),
        (b'"hello"', b"hello"),
        (b' "" ', b""),
        (b'"say \\"hi\\" \\u00e9"', 'say "hi" \u00e9'.encode()),
    ],
)
def test_it_loses_its_blanks_and_a_string_its_quotes(payload: bytes, body: bytes) -> None:
    assert parse_result(payload) == BufferedResponse(200, (JSON_TYPE,), body)


def test_no_payload_at_all_is_null() -> None:
    assert parse_result(b"") == BufferedResponse(200, (JSON_TYPE,), b"null")


def test_a_possible_receipt_is_left_to_the_caller() -> None:
    payload = b'{"dialback": {"status": "end"}}'
    receipt = parse_result(payload)
    assert receipt == PossibleReceipt({"dialback": {"status": "end"}}, payload)
    assert plain_json(payload).body == b'{"dialback":{"status":"end"}}'


@pytest.mark.parametrize("payload", [b'{"dialback": 1}', b'{"dialback": {}, "more": 1}'])
def test_what_cannot_be_a_receipt_is_plain_json(payload: bytes) -> None:
    assert parse_result(payload) == plain_json(payload)


def test_hop_by_hop_headers_and_a_false_length_are_dropped() -> None:
    headers = {"Connection": "close", "Transfer-Encoding": "chunked", "Content-Length": "99"}
    assert parsed({"statusCode": 200, "headers": headers, "body": "x"}).headers == (JSON_TYPE,)


def test_a_length_without_a_body_describes_a_head_answer() -> None:
    response = parsed({"statusCode": 200, "headers": {"Content-Length": 99}})
    assert (b"content-length", b"99") in response.headers


def test_multi_value_headers_are_ignored_as_function_urls_do() -> None:
    response = parsed({"statusCode": 200, "multiValueHeaders": {"x-a": ["1"]}})
    assert response.headers == (JSON_TYPE,)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"statusCode": "2000"}, "statusCode"),
        ({"statusCode": "OK"}, "statusCode"),
        ({"statusCode": ""}, "statusCode"),
        ({"statusCode": 200.5}, "statusCode"),
        ({"statusCode": True}, "statusCode"),
        ({"statusCode": None}, "statusCode"),
        ({"statusCode": 100}, "statusCode"),
        ({"statusCode": 600}, "statusCode"),
        ({"headers": [["a", "b"]]}, "headers must be an object"),
        ({"headers": {"x-a": ["1"]}}, "header 'x-a'"),
        ({"headers": {"x-a": None}}, "header 'x-a'"),
        ({"headers": {"x-a": "1\r\nx-b: 2"}}, "x-a"),
        ({"headers": {"x a": "1"}}, "x a"),
        ({"cookies": "a=1"}, "cookies must be a list"),
        ({"cookies": [1]}, "cookies must be a list"),
        ({"cookies": ["a=1\n"]}, "set-cookie"),
        ({"body": {"a": 1}}, "body must be a string"),
        ({"body": "not base64!", "isBase64Encoded": True}, "isBase64Encoded"),
        ({"body": "é", "isBase64Encoded": True}, "isBase64Encoded"),
    ],
)
def test_a_wrong_shape_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(FunctionFailed) as caught:
        parsed({"statusCode": 200, **fields})
    assert said in str(caught.value)
    assert caught.value.public == FunctionFailed.public


@pytest.mark.parametrize(
    "payload", [b"{", b"NaN", b"\xff", b'{"statusCode": 200} x', b"[" * 100_000]
)
def test_what_is_no_json_is_refused(payload: bytes) -> None:
    with pytest.raises(FunctionFailed, match="not JSON"):
        parse_result(payload)


MANY = b"[" + b"[]," * 300_000 + b"[]]"


@pytest.mark.parametrize(
    "payload",
    [
        MANY,
        b'{"statusCode":200,"other":' + MANY + b"}",
        b'{"statusCode":' + MANY + b"}",
        b'{"statusCode":200,"headers":' + MANY + b"}",
        b'{"statusCode":200,"cookies":' + MANY + b"}",
        b'{"statusCode":200,"body":' + MANY + b"}",
        b'{"dialback":{"v":1,"status":' + MANY + b"}}",
        b'{"dialback":{"v":1,"tail":' + MANY + b"}}",
        b'{"dialback":' + MANY + b"}",
        b'{"errorType":"E","stackTrace":' + MANY + b"}",
        b'{"errorType":' + MANY + b"}",
    ],
    ids=lambda payload: payload[:40].decode(),
)
@pytest.mark.parametrize("error", [None, "Unhandled"])
def test_a_result_costs_no_more_memory_than_its_size(payload: bytes, error: str | None) -> None:
    with measured_peak() as peak:
        outcome = read_outcome(InvokeResult(payload, error, "id"))
    assert error is None or outcome.failure is not None
    assert peak.bytes < 3 * len(payload), "decoded into objects"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"dialback":{}}',
        b' { "dialback" : { "v": 1, "tail": {"offset": 0, "base64": "YQ=="} } } ',
        b'{"dialback":{"v":1,"tail":' + b" " * 2000 + b"null}}",
        b'{"dialback":{},"body":""}',
        b'{"statusCode":200,"dialback":{}}',
        b'{"dialback":null}',
        b'{"dialback":[]}',
        b'{"Dialback":{}}',
        b"{}",
        b"[]",
        b"null",
        b"",
    ],
)
def test_a_possible_receipt_is_known_without_being_read(payload: bytes) -> None:
    assert is_possible_receipt(payload) == isinstance(parse_result(payload), PossibleReceipt)


@pytest.mark.parametrize("payload", [b"{", b'{"dialback":{}}}', b"[" * 10**5, b'{"dialback":'])
def test_what_is_no_json_is_no_receipt(payload: bytes) -> None:
    assert not is_possible_receipt(payload)


def test_a_long_error_of_a_function_is_cut_for_the_log() -> None:
    payload = json.dumps({"errorType": "E", "errorMessage": "x" * 10**6}).encode()
    failure = read_outcome(InvokeResult(payload, "Unhandled", "id")).failure
    assert len(str(failure)) < 2000
