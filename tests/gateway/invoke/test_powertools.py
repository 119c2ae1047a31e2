"""Powertools' resolver as an oracle: it must read in our event what the client asked, and we its answer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver, Response
from aws_lambda_powertools.shared.cookies import Cookie

from gateway.invoke.event import build_event
from gateway.invoke.result import BufferedResponse, parse_result
from tests.gateway.invoke.requests import edge_request

HOST = (b"host", b"abc.lambda-url.eu-west-1.on.aws")
FORM = b"application/x-www-form-urlencoded"


def resolved(
    *headers: tuple[bytes, bytes], body: bytes | None = None, **asked: Any
) -> tuple[dict[str, Any], BufferedResponse]:
    """What the resolver's handler saw, and the response made of what the resolver returned."""
    app = LambdaFunctionUrlResolver()
    seen: dict[str, Any] = {}

    @app.route("/<rest>", method=["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
    @app.route("/", method=["GET", "POST"])
    def take(rest: str = "") -> Response[str]:
        event = app.current_event
        seen.update(
            method=event.http_method,
            path=event.path,
            rest=rest,
            query=event.resolved_query_string_parameters,
            headers=event.headers,
            cookies=event.resolved_cookies_field,
            body=event.decoded_body,
        )
        cookies = [Cookie("a", "1"), Cookie("b", "2")]
        return Response(201, "text/plain", "héllo", {"X-A": ["1", "2"], "X-B": "3"}, cookies)

    event = build_event(edge_request(HOST, *headers, **asked), exchange_id="id", body=body, now=0)
    returned = app.resolve(json.loads(event), SimpleNamespace())  # type: ignore[arg-type]  # its context is not used
    response = parse_result(json.dumps(returned).encode())
    assert isinstance(response, BufferedResponse)
    return seen, response


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_method_and_path(method: str) -> None:
    seen, _ = resolved(method=method, path="/orders")
    assert (seen["method"], seen["path"], seen["rest"]) == (method, "/orders", "orders")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("a=1", {"a": ["1"]}),
        ("a=1&a=2&b=3", {"a": ["1", "2"], "b": ["3"]}),
        ("a=x%20y&b=%C3%A9&c=1%2B1", {"a": ["x y"], "b": ["é"], "c": ["1+1"]}),
        ("a=&b", {"a": [""], "b": [""]}),
    ],
)
def test_the_query(query: str, expected: dict[str, list[str]]) -> None:
    assert resolved(path="/", query=query)[0]["query"] == expected


def test_headers_and_cookies() -> None:
    seen, _ = resolved(
        (b"x-a", b"1"), (b"x-a", b"2"), (b"cookie", b"session=abc; theme=dark"), (b"cookie", b"z=9")
    )
    assert seen["headers"]["X-A"] == "1,2"
    assert seen["cookies"] == {"session": "abc", "theme": "dark", "z": "9"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [(b"application/json", b'{"a": "\xc3\xa9"}'), (b"text/plain", b"hi"), (FORM, b"a=1&b=2")],
)
def test_the_body(content_type: bytes, body: bytes) -> None:
    assert resolved((b"content-type", content_type), body=body)[0]["body"] == body.decode()


def test_no_body() -> None:
    assert not resolved()[0]["body"]


def test_the_answer_of_the_resolver() -> None:
    _, response = resolved()
    assert (response.status, response.body) == (201, "héllo".encode())
    assert set(response.headers) == {
        (b"content-type", b"text/plain"),
        (b"x-a", b"1, 2"),
        (b"x-b", b"3"),
        (b"set-cookie", b"a=1; Secure"),
        (b"set-cookie", b"b=2; Secure"),
    }


def test_its_404() -> None:
    seen, response = resolved(method="PUT", path="/")
    assert (seen, response.status) == ({}, 404)
