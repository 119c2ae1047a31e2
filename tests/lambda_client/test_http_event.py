"""Events of every sender, as the request that an application sees."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_client.http_event import HttpRequest


def function_url(**changes: Any) -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": "/a%20b",
        "rawQueryString": "x=1&y=%C3%A4",
        "headers": {"host": "abc.lambda-url.eu-west-1.on.aws", "x-forwarded-proto": "https"},
        "requestContext": {
            "stage": "$default",
            "http": {"method": "get", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"},
        },
        **changes,
    }


def rest_api(**changes: Any) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "path": "/ä b",
        "multiValueHeaders": {"Host": ["api.example"], "X-A": ["1", "2"]},
        "multiValueQueryStringParameters": {"q": ["a b", "ä"]},
        "requestContext": {"protocol": "HTTP/1.1", "identity": {"sourceIp": "203.0.113.8"}},
        **changes,
    }


def balancer(**changes: Any) -> dict[str, Any]:
    return {
        "httpMethod": "GET",
        "path": "/a%20b",
        "headers": {"host": "lb.example:8443", "x-forwarded-for": "203.0.113.9, 10.0.0.1"},
        "queryStringParameters": {"q": "a%20b", "r": ""},
        "requestContext": {"elb": {"targetGroupArn": "arn"}},
        **changes,
    }


def test_a_function_urls_event() -> None:
    request = HttpRequest.parse(function_url())
    assert request == HttpRequest(
        method="GET",
        raw_path=b"/a%20b",
        path=b"/a b",
        root_path=b"",
        query=b"x=1&y=%C3%A4",
        headers=(
            (b"host", b"abc.lambda-url.eu-west-1.on.aws"),
            (b"x-forwarded-proto", b"https"),
        ),
        version="1.1",
        scheme="https",
        client="203.0.113.7",
        server=("abc.lambda-url.eu-west-1.on.aws", 443),
    )


def test_a_rest_apis_event() -> None:
    request = HttpRequest.parse(rest_api())
    assert (request.method, request.raw_path, request.path) == (
        "POST",
        b"/%C3%A4%20b",
        "/ä b".encode(),
    )
    assert request.query == b"q=a+b&q=%C3%A4"
    assert request.headers == ((b"host", b"api.example"), (b"x-a", b"1"), (b"x-a", b"2"))
    assert request.client == "203.0.113.8"


def test_a_load_balancers_event() -> None:
    request = HttpRequest.parse(balancer())
    assert (request.raw_path, request.path, request.query) == (b"/a%20b", b"/a b", b"q=a%20b&r=")
    assert request.client == "203.0.113.9"
    assert request.server == ("lb.example", 8443)


def test_what_is_absent_has_a_default() -> None:
    request = HttpRequest.parse({"requestContext": {"http": {}}})
    assert (request.method, request.raw_path, request.query) == ("GET", b"/", b"")
    assert (request.version, request.scheme, request.client) == ("1.1", "https", None)
    assert request.server == ("localhost", 443)
    assert HttpRequest.parse({"httpMethod": "GET"}).headers == ()


@pytest.mark.parametrize(
    ("stage", "path", "root"),
    [
        ("prod", "/prod/users", b"/prod"),
        ("prod", "/prod", b"/prod"),
        ("prod", "/production", b""),
        ("$default", "/$default/x", b""),
    ],
)
def test_the_stage_of_an_http_api_is_the_root_path(stage: str, path: str, root: bytes) -> None:
    context = {"stage": stage, "http": {"method": "GET"}}
    request = HttpRequest.parse(function_url(rawPath=path, requestContext=context))
    assert (request.path, request.root_path) == (path.encode(), root)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({}, b"a=1; b=2"), ({"cookie": "a=1;b=2"}, b"a=1;b=2"), ({"Cookie": "c"}, b"c")],
)
def test_cookies_are_one_header(headers: dict[str, str], expected: bytes) -> None:
    request = HttpRequest.parse(function_url(headers=headers, cookies=["a=1", "b=2"]))
    assert [value for name, value in request.headers if name == b"cookie"] == [expected]


ENDLESS = "9" * 5000
"""More digits than Python makes a number of."""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "h:80"}, ("h", 80)),
        ({"host": "[::1]:81"}, ("[::1]", 81)),
        ({"host": "[::1]", "x-forwarded-proto": "http"}, ("[::1]", 80)),
        ({"host": "h", "x-forwarded-port": "8443"}, ("h", 8443)),
        ({"host": "h:" + ENDLESS}, ("h:" + ENDLESS, 443)),
        ({"host": "h", "x-forwarded-port": ENDLESS}, ("h", 443)),
    ],
)
def test_the_server_is_what_the_client_asked_for(
    headers: dict[str, str], expected: tuple[str, int]
) -> None:
    assert HttpRequest.parse(function_url(headers=headers)).server == expected


@pytest.mark.parametrize(
    ("told", "version"), [("HTTP/1.0", "1.0"), ("HTTP/2.0", "2"), ("HTTP/1.1", "1.1"), ("", "1.1")]
)
def test_the_version_of_http(told: str, version: str) -> None:
    context = {"http": {"method": "GET", "protocol": told}}
    assert HttpRequest.parse(function_url(requestContext=context)).version == version


def test_half_a_surrogate_pair_breaks_nothing() -> None:
    assert HttpRequest.parse(function_url(headers={"x": "\ud800"})).headers == ((b"x", b"?"),)
    cookies = HttpRequest.parse(function_url(headers={}, cookies=["\ud800"])).headers
    assert cookies == ((b"cookie", b"?"),)


@pytest.mark.parametrize("event", [None, [], "x", {}, {"Records": []}, {"requestContext": None}])
def test_other_events_are_refused(event: object) -> None:
    with pytest.raises(ValueError, match="HTTP"):
        HttpRequest.parse(event)
