"""A route that requires a header cannot be gone around: by no method, and by no spelling of its path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.matching import as_read
from gateway.routes import Route, RouteTable
from gateway.rules import DoorKey, Rules
from gateway.targets import LocalTarget
from tests.gateway.edge.serving import answer, get, listening
from tests.gateway.exchange.peer import route_of_test

if TYPE_CHECKING:
    from collections.abc import Callable

DOOR, SIDE = DoorKey(b"x-door", b"d" * 16), DoorKey(b"x-side", b"s" * 16)


def route(path: str, *methods: str, key: DoorKey | None = None, **more: Any) -> Route:
    return route_of_test(
        path=path,
        methods=frozenset(methods),
        rules=Rules(key=key),
        target=LocalTarget(Path("app.py"), "handler"),
        **more,
    )


SITE = RouteTable(
    [
        route("/"),
        route("/admin", "GET", key=DOOR),
        route("/admin/health"),
        route("/mixed", "POST", key=DOOR),
        route("/mixed", "GET"),
        route("/users/{id}", "GET", kind="template", key=DOOR),
        route("/only", "GET", kind="exact", key=DOOR),
        route("/deep/er", "GET", key=SIDE),
        route("/deep", "PUT", key=DOOR),
        route("/", "GET", host="inner.example", key=SIDE),
    ]
)


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ("GET /", set()),
        ("GET /admin", {DOOR}),
        ("HEAD /admin/x", {DOOR}),
        ("POST /admin/x", {DOOR}),  # goes to /, and would get in by the back door
        ("OPTIONS /admin", {DOOR}),
        ("POST /admin/health", set()),  # a more specific route, on purpose
        ("GET /mixed", set()),  # a route of the very same path, on purpose
        ("POST /mixed", {DOOR}),
        ("PUT /mixed", {DOOR}),
        ("DELETE /users/1", {DOOR}),
        ("POST /only", {DOOR}),
        ("POST /only/x", set()),
        ("POST /deep/er", {SIDE, DOOR}),
        ("PUT /deep/er", {SIDE, DOOR}),
        ("GET /deep/er", {SIDE}),
    ],
)
def test_a_guard_counts_for_its_path_whatever_the_method(asked: str, keys: set[DoorKey]) -> None:
    method, path = asked.split(" ")
    assert SITE.keys(path, method, b"") == keys


def test_a_guard_of_one_host_counts_for_that_host() -> None:
    assert SITE.keys("/", "GET", b"inner.example:80") == {SIDE}
    assert SITE.keys("/", "POST", b"inner.example") == {SIDE}
    assert SITE.keys("/", "GET", b"other.example") == set()


@pytest.mark.parametrize(
    "path",
    [
        "/%61dmin",
        "/%61%64%6D%69%6e/x",
        "//admin",
        "/./admin",
        "/x/../admin/",
        "/x/%2e%2e/admin",
        "/%2e/admin",
        "/admin;v=1/x",
        "/x/..;/admin",
        "/%5Cadmin",
        "/\\admin",
        "/admin%2Fx",
        "/users//7",
        "/users/7/",
        "/only/",
        "/admin/health/%2e%2e/x",
        "/%61dmin/../x",  # what FastAPI serves as /admin/{path:path}
        "//admin/..;/..",
    ],
)
def test_no_spelling_goes_around_it(path: str) -> None:
    for method in ("GET", "POST"):
        assert SITE.keys(path, method, b"") == {DOOR}


PLAIN = ["/", "/admin", "/users/7", "/a/b/c", "/only"]


@pytest.mark.parametrize("path", PLAIN)
def test_a_plain_path_reads_as_it_is(path: str) -> None:
    assert as_read(path) == path


ODD: dict[str, Callable[[str], str]] = {
    "encode": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "double": lambda text: text.replace("/", "//"),
    "dot": lambda text: text.replace("/", "/./"),
    "parameter": lambda text: text + ";a=b",
    "detour": lambda text: "/x/%2E." + text,
}


@given(
    st.sampled_from(["/admin", "/admin/x", "/users/7"]),
    st.permutations(sorted(ODD)),
    st.integers(1, 5),
)
def test_neither_does_any_mixture_of_them(path: str, order: list[str], count: int) -> None:
    odd = path
    for name in order[:count]:
        # What is encoded once is not encoded again: no application decodes twice.
        odd = odd if name == "encode" and "%" in odd else ODD[name](odd)
    if not odd.startswith("/"):
        odd = "/" + odd
    assert as_read(odd) == as_read(unquote(odd)) == path
    assert SITE.keys(odd, "POST", b"") == {DOOR}


async def test_the_edge_asks_for_every_key_before_it_says_anything_else() -> None:
    routes = [route("/open"), route("/open/shut", "GET", key=DOOR), route("/shut", "GET", key=SIDE)]
    async with listening(answer(b"hi"), *routes) as it:
        opened = await it.ask(get("/open/shut", f"X-Door: {DOOR.secret.decode()}", method="POST"))
        assert opened.startswith(b"HTTP/1.1 200 ")
        (request,) = it.driver.requests
        assert request.header(b"x-door") is None, "nor does another function see it"
        for method, path in (("POST", "/open/shut"), ("POST", "/open/%73hut"), ("POST", "/shut")):
            refused = await it.ask(get(path, method=method))
            assert refused.startswith(b"HTTP/1.1 403 "), "not even the methods that there are"
        assert len(it.driver.requests) == 1
