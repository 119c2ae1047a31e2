"""What a route's rules do at the edge: CORS, the door key, headers, methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.errors import FunctionFailed
from gateway.rules import Cors, DoorKey, HeaderEdit, Rules
from tests.gateway.edge.serving import answer, edge, get

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink

PAGE = "Origin: https://a.example"
ALL = Cors(("*",))
ONE = Cors(
    ("https://a.example", "https://b.example"),
    ("GET", "PUT"),
    ("x-a", "content-type"),
    ("x-b",),
    600,
    allow_credentials=True,
)
OWN = (
    (b"content-type", b"text/plain"),
    (b"access-control-allow-origin", b"https://function.example"),
    (b"access-control-max-age", b"1"),
    (b"server", b"function"),
)


def preflight(*headers: str, method: str = "PUT") -> bytes:
    return get("/x", f"Access-Control-Request-Method: {method}", *headers, method="OPTIONS")


def found(response: bytes, *prefixes: bytes) -> dict[str, str]:
    """Headers of these kinds, and what `Vary` says."""
    lines = response.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")[1:]
    pairs = dict(line.split(b": ", 1) for line in lines)
    return {
        name.decode(): value.decode()
        for name, value in pairs.items()
        if name.startswith((b"access-control-", b"vary", *prefixes))
    }


async def ask(sent: bytes, **rules: Any) -> tuple[bytes, list[EdgeRequest]]:
    async with edge(answer(b"hi", headers=OWN), rules=Rules(**rules)) as it:
        return await it.ask(sent), it.driver.requests


# ---------------------------------------------------------------- CORS


async def test_a_preflight_is_answered_and_nothing_is_invoked() -> None:
    response, requests = await ask(preflight(PAGE), cors=ONE)
    assert response.startswith(b"HTTP/1.1 204 ") and not requests
    assert found(response) == {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "get, put",
        "access-control-allow-headers": "x-a, content-type",
        "access-control-max-age": "600",
        "vary": "origin",
    }


async def test_a_preflight_of_a_stranger_allows_nothing() -> None:
    response, requests = await ask(preflight("Origin: https://c.example"), cors=ONE)
    assert found(response) == {"vary": "origin"} and not requests


async def test_everybody_may() -> None:
    response, _ = await ask(preflight(PAGE), cors=ALL)
    assert found(response) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "*",
        "access-control-max-age": "0",
    }
    response, _ = await ask(get("/"), cors=ALL)
    assert found(response) == {"access-control-allow-origin": "*"}


async def test_a_star_is_spelled_out_where_credentials_make_it_a_name() -> None:
    cors = Cors(("*",), allow_headers=("*",), allow_credentials=True)
    response, _ = await ask(preflight(PAGE, "Access-Control-Request-Headers: x-q"), cors=cors)
    assert found(response) == {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "put",
        "access-control-allow-headers": "x-q",
        "access-control-max-age": "0",
        "vary": "origin",
    }


@pytest.mark.parametrize("request_", [preflight(), get("/", PAGE, method="OPTIONS")])
async def test_other_options_requests_are_the_functions(request_: bytes) -> None:
    _, requests = await ask(request_, cors=ONE)
    assert [request.method for request in requests] == ["OPTIONS"]


async def test_without_cors_a_preflight_is_the_functions() -> None:
    response, requests = await ask(preflight(PAGE))
    assert len(requests) == 1
    assert found(response)["access-control-allow-origin"] == "https://function.example"


async def test_these_headers_stand_in_place_of_the_functions_own() -> None:
    response, _ = await ask(get("/", PAGE), cors=ONE)
    assert found(response) == {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-b",
        "vary": "origin",
    }


@pytest.mark.parametrize("origin", [[], ["Origin: https://c.example"]])
async def test_a_stranger_is_told_nothing(origin: list[str]) -> None:
    response, _ = await ask(get("/", *origin), cors=ONE)
    assert found(response) == {"vary": "origin"}


async def test_a_page_may_read_our_errors() -> None:
    async def fail(request: EdgeRequest, sink: ResponseSink) -> None:
        raise FunctionFailed

    async with edge(fail, rules=Rules(cors=ONE)) as it:
        response = await it.ask(get("/", PAGE))
    assert response.startswith(b"HTTP/1.1 502 ")
    assert found(response)["access-control-allow-origin"] == "https://a.example"


async def test_a_preflight_finds_the_route_of_the_method_it_asks_for() -> None:
    async with edge(answer(), rules=Rules(cors=ONE), methods=frozenset({"PUT"})) as it:
        assert (await it.ask(preflight(PAGE))).startswith(b"HTTP/1.1 204 ")
        assert (await it.ask(preflight(PAGE, method="DELETE"))).startswith(b"HTTP/1.1 405 ")
        assert not it.driver.requests


# ---------------------------------------------------------------- the door key

KEY = DoorKey(b"x-from-cdn", b"correct horse battery")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["X-From-CDN: wrong"],
        ["X-From-CDN:"],
        ["X-From-CDN: correct horse battery", "X-From-CDN: wrong"],
        ["X-From-CDN: \xff"],
    ],
)
async def test_without_the_key_nobody_comes_in(headers: list[str]) -> None:
    for request in (get("/", *headers), preflight(PAGE, *headers)):
        response, requests = await ask(request, key=KEY, cors=ONE)
        assert response.startswith(b"HTTP/1.1 403 ") and not requests
        assert not found(response) and b"correct" not in response


async def test_the_key_opens_and_stays_at_the_door() -> None:
    response, requests = await ask(get("/", "X-From-CDN: correct horse battery"), key=KEY)
    assert response.startswith(b"HTTP/1.1 200 ")
    assert requests[0].header(b"x-from-cdn") is None


# ---------------------------------------------------------------- headers and methods


async def test_headers_of_responses_are_set_and_taken_away() -> None:
    edit = HeaderEdit.of([("X-New", "1"), ("Content-Type", "text/html")], ["Server"])
    response, _ = await ask(get("/"), response=edit)
    assert found(response, b"x-new", b"content-type", b"server") == {
        "access-control-allow-origin": "https://function.example",
        "access-control-max-age": "1",
        "x-new": "1",
        "content-type": "text/html",
    }


async def test_headers_of_requests_likewise() -> None:
    edit = HeaderEdit.of([("X-Stage", "prod")], ["Cookie"])
    _, (request,) = await ask(get("/", "Cookie: a=1", "X-Stage: forged"), request=edit)
    assert request.header(b"cookie") is None
    assert [value for name, value in request.headers if name == b"x-stage"] == [b"prod"]


async def test_a_method_that_no_route_takes_is_told_which_are() -> None:
    async with edge(answer(), methods=frozenset({"GET", "PUT"})) as it:
        response = await it.ask(get("/", method="DELETE"))
        assert response.startswith(b"HTTP/1.1 405 ") and b"\r\nallow: GET, PUT\r\n" in response
        assert not it.driver.requests
