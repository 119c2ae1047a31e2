"""The payload 2.0 event against what a Function URL sends."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.invoke.event import build_event
from tests.gateway.invoke.requests import edge_request

NOW = 1583348638.390  # 04/Mar/2020 19:03:58.39 UTC


def event(
    *headers: tuple[bytes, bytes], body: bytes | None = None, path: str = "/", query: str = ""
) -> dict[str, Any]:
    request = edge_request(*headers, path=path, query=query)
    built: dict[str, Any] = json.loads(build_event(request, exchange_id="0a1b", body=body, now=NOW))
    return built


WHOLE = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/my%20path/%C3%A9",
    "rawQueryString": "p=value1&p=value2&q=a%20b+c&blank=&bare",
    "cookies": ["a=1", "b=2"],
    "headers": {
        "host": "abc123.lambda-url.us-west-2.on.aws",
        "user-agent": "curl/8",
        "header1": "value1,value2",
        "cookie": "a=1; b=2",
        "content-type": "text/plain; charset=utf-8",
    },
    "queryStringParameters": {"p": "value1,value2", "q": "a b c", "blank": "", "bare": ""},
    "requestContext": {
        "accountId": "anonymous",
        "apiId": "abc123",
        "authentication": None,
        "domainName": "abc123.lambda-url.us-west-2.on.aws",
        "domainPrefix": "abc123",
        "http": {
            "method": "POST",
            "path": "/my%20path/%C3%A9",
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.7",
            "userAgent": "curl/8",
        },
        "requestId": "0a1b",
        "routeKey": "$default",
        "stage": "$default",
        "time": "04/Mar/2020:19:03:58 +0000",
        "timeEpoch": 1583348638390,
    },
    "body": "Grüße\n",
    "pathParameters": None,
    "isBase64Encoded": False,
    "stageVariables": None,
}


def test_a_whole_event() -> None:
    built = event(
        (b"host", b"abc123.lambda-url.us-west-2.on.aws"),
        (b"user-agent", b"curl/8"),
        (b"header1", b"value1"),
        (b"header1", b"value2"),
        (b"cookie", b"a=1; b=2"),
        (b"content-type", b"text/plain; charset=utf-8"),
        body="Grüße\n".encode(),
        path="/my%20path/%C3%A9",
        query="p=value1&p=value2&q=a%20b+c&blank=&bare",
    )
    assert built == WHOLE


@given(st.text("ab=&+%2C;é ", max_size=30))
def test_queries_are_read_as_the_standard_library_does(query: str) -> None:
    expected: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        expected.setdefault(name, []).append(value)
    found = event(query=query).get("queryStringParameters", {})
    assert found == {name: ",".join(values) for name, values in expected.items()}


@pytest.mark.parametrize("body", [None, b""])
def test_what_is_absent_has_no_key(body: bytes | None) -> None:
    bare = event(body=body)
    assert not {"body", "cookies", "queryStringParameters"} & bare.keys()
    assert bare["isBase64Encoded"] is False
    assert bare["requestContext"]["domainName"] == ""
    assert bare["requestContext"]["http"]["userAgent"] == ""


@pytest.mark.parametrize(
    "content_type",
    [
        b"text/html",
        b"application/json",
        b"Application/JSON; charset=utf-8",
        b"application/xml",
        b"application/javascript",
    ],
)
def test_text_travels_as_it_is(content_type: bytes) -> None:
    text = event((b"content-type", content_type), body=b'{"a": "\xc3\xa9"}')
    assert text["body"] == '{"a": "é"}'
    assert text["isBase64Encoded"] is False


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], b"plain"),
        ([(b"content-type", b"application/octet-stream")], b"plain"),
        ([(b"content-type", b"image/png")], bytes(range(256))),
        ([(b"content-type", b"application/x-www-form-urlencoded")], b"a=1&b=2"),
        ([(b"content-type", b"multipart/form-data; boundary=x")], b"--x--"),
        ([(b"content-type", b"application/problem+json")], b"{}"),
        ([(b"content-type", b"application/json"), (b"content-encoding", b"gzip")], b"\x1f\x8b\x08"),
        ([(b"content-type", b"text/plain")], b"\xff\xfe not UTF-8"),
    ],
)
def test_everything_else_travels_as_base64(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    binary = event(*headers, body=body)
    assert base64.b64decode(binary["body"]) == body
    assert binary["isBase64Encoded"] is True


def test_repeated_cookie_headers_become_one_list() -> None:
    built = event((b"cookie", b"a=1"), (b"cookie", b"b=2;c=3"))
    assert built["headers"]["cookie"] == "a=1; b=2;c=3"
    assert built["cookies"] == ["a=1", "b=2", "c=3"]


def test_a_header_that_is_not_utf8_is_read_as_latin1() -> None:
    assert event((b"x-name", b"caf\xe9"))["headers"]["x-name"] == "café"


@pytest.mark.parametrize(
    ("host", "domain"),
    [(b"localhost:8080", "localhost"), (b"[::1]:8080", "[::1]"), (b"[::1]", "[::1]")],
)
def test_the_port_is_no_part_of_the_domain(host: bytes, domain: str) -> None:
    context = event((b"host", host))["requestContext"]
    assert context["domainName"] == context["domainPrefix"] == domain
