from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError, MethodNotAllowed
from gateway.route_settings import RequiredHeader, RouteSettings
from gateway.routes import RouteTable, build_routes
from gateway.rules import Cors, DoorKey
from gateway.targets import AwsTarget, LocalTarget, UrlTarget

BASE = Path("/srv/site")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"


def settings(path: str, target: str = "app.py:handler") -> RouteSettings:
    return RouteSettings(where="file.toml: routes[0]", path=path, target=target, base=BASE)


def table(*paths: str) -> RouteTable:
    return build_routes(map(settings, paths))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/chat", "/chat"),
        ("/chat/", "/chat"),
        ("/chat/x", "/chat"),
        ("/chatty", "/"),
        ("/chat/room/1", "/chat/room"),
        ("/chat/rooms", "/chat"),
        ("//chat", "/"),
        ("/Chat", "/"),
        ("*", None),
        ("", None),
        ("/" * 8000, "/"),
    ],
)
def test_the_longest_prefix_of_whole_segments_wins(path: str, expected: str | None) -> None:
    route = table("/", "/chat/", "/chat/room").match(path)
    assert (route.path if route else None) == expected


def test_without_a_root_route_other_paths_match_nothing() -> None:
    routes = table("/chat")
    assert routes.match("/") is None
    assert routes.match("/other/chat") is None
    assert len(routes) == 1


def test_a_path_that_comes_twice_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"routes\[0\]: path /chat is there already"):
        table("/chat", "/chat/")


@pytest.mark.parametrize("path", ["", "chat", "/a b", "/a?b", "/a#b", "/a\n"])
def test_what_is_no_path_is_an_error(path: str) -> None:
    with pytest.raises(ConfigError, match="is not a path"):
        table(path)


@pytest.mark.parametrize("text", ["local:sub/app.py:handler", "sub/app.py:handler"])
def test_a_local_target_starts_from_its_base(text: str) -> None:
    assert LocalTarget.parse(text, BASE) == LocalTarget(BASE / "sub/app.py", "handler")


def test_an_absolute_file_stays() -> None:
    assert LocalTarget.parse("/opt/f.py:a.b", BASE) == LocalTarget(Path("/opt/f.py"), "a.b")


@pytest.mark.parametrize(
    "text", ["", "app.py", "app:handler", "app.py:", "app.py:1x", "app.py:a-b"]
)
def test_what_is_no_target_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"routes\[0\]: target .* is neither FILE.py:HANDLER"):
        build_routes([settings("/", text)])


@pytest.mark.parametrize(
    ("url", "auth", "expected"),
    [
        ("https://abc.lambda-url.eu-west-1.on.aws/", "iam", (True, "eu-west-1")),
        ("https://abc.lambda-url.eu-west-1.on.aws", None, (False, "eu-west-1")),
        ("http://127.0.0.1:9000", "none", (False, None)),
    ],
)
def test_a_function_url_may_be_signed(url: str, auth: Any, expected: tuple[bool, Any]) -> None:
    (route,) = build_routes([replace(settings("/", f"function_url:{url}"), auth=auth)])
    assert isinstance(route.target, UrlTarget)
    assert (route.target.signed, route.target.region) == expected
    assert str(route.target) == f"function_url:{url}"


def test_an_aws_target_may_name_region_and_endpoint() -> None:
    one = settings("/", "aws:orders:live")
    one = replace(one, region="eu-west-1", endpoint="http://127.0.0.1:4566")
    (route,) = build_routes([one])
    assert route.target == AwsTarget(
        "orders", "orders", "live", "eu-west-1", "http://127.0.0.1:4566"
    )
    assert (route.name, str(route.target)) == ("orders", "aws:orders:live")


@pytest.mark.parametrize(
    ("target", "more", "reason"),
    [
        ("aws:a b", {}, "after aws: the name or the ARN"),
        (f"aws:{ARN}", {"region": "eu-west-1"}, "is in us-east-1, not in eu-west-1"),
        ("aws:orders", {"env": {"A": "b"}}, "env is for local functions; set it on AWS"),
        ("function_url:abc", {}, "scheme and host of a URL are wanted"),
        ("function_url:https://a/b", {}, "scheme and host of a URL are wanted"),
        ("function_url:https://a", {"endpoint": "http://x"}, "endpoint is for aws: targets"),
        ("aws:orders", {"auth": "iam"}, "auth is for function_url: targets"),
        ("app.py:handler", {"region": "eu-west-1"}, "region and endpoint are for functions on AWS"),
        (
            "app.py:handler",
            {"endpoint": "http://x"},
            "region and endpoint are for functions on AWS",
        ),
    ],
)
def test_settings_of_another_kind_of_target_are_errors(
    target: str, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        build_routes([replace(settings("/", target), **more)])


def test_names_of_functions_are_unique_and_fit_the_api() -> None:
    routes = build_routes(
        [
            settings("/a"),
            settings("/b"),
            settings("/c", "other dir/ä.py:handler"),
            settings("/d", f"{'x' * 90}.py:handler"),
        ]
    )
    names = [route.name for route in routes]
    assert names == ["app-handler", "app-handler-2", "--handler", "x" * 60]


def test_routes_can_be_keys() -> None:
    one = settings("/")
    (route,) = build_routes([one])
    assert {route: 1}[route] == 1


# ---------------------------------------------------------------- hosts, kinds of paths, methods


def several(*changes: dict[str, Any]) -> RouteTable:
    return build_routes([replace(settings("/"), **change) for change in changes])


SITE = several(
    {"path": "/"},
    {"path": "/users", "methods": ("GET", "POST")},
    {"path": "/users", "methods": ("DELETE",)},
    {"path": "/users"},
    {"path": "/users/{id}"},
    {"path": "/users/{id}/posts"},
    {"path": "/users/{id}/{rest+}"},
    {"path": "/users/me", "match": "exact"},
    {"path": "/health/", "match": "exact", "methods": ("GET",)},
    {"path": "/", "host": "api.example.com"},
    {"path": "/v1", "host": "api.example.com", "methods": ("PUT",)},
    {"path": "/", "host": "*.example.com"},
    {"path": "/", "host": "*.eu.example.com"},
)


@pytest.mark.parametrize(
    ("asked", "label"),
    [
        ("GET a /", "/"),
        ("GET a /users", "GET,POST /users"),
        ("HEAD a /users", "GET,POST /users"),
        ("DELETE a /users", "DELETE /users"),
        ("PATCH a /users", "/users"),
        ("GET a /users/7", "/users/{id}"),
        ("GET a /users/me", "=/users/me"),
        ("GET a /users/", "GET,POST /users"),
        ("GET a /users/7/posts", "/users/{id}/posts"),
        ("GET a /users/7/likes", "/users/{id}/{rest+}"),
        ("GET a /users/7/posts/1", "/users/{id}/{rest+}"),
        ("GET a /health/", "GET =/health/"),
        ("GET a /health", "/"),
        ("GET api.example.com /users", "api.example.com/"),
        ("GET API.example.com.:8080 /", "api.example.com/"),
        ("PUT api.example.com /v1/x", "PUT api.example.com/v1"),
        ("GET api.example.com /v1/x", "api.example.com/"),
        ("GET www.example.com /", "*.example.com/"),
        ("GET a.b.example.com /", "*.example.com/"),
        ("GET a.eu.example.com /", "*.eu.example.com/"),
        ("GET eu.example.com /", "*.example.com/"),
        ("GET example.com /", "/"),
        ("GET *.example.com /", "*.example.com/"),
        ("GET [::1]:80 /", "/"),
        ("GET  /", "/"),
    ],
)
def test_the_most_specific_route_wins(asked: str, label: str) -> None:
    method, host, path = asked.split(" ")
    route = SITE.match(path, method, host.encode())
    assert route is not None
    assert route.label == label


def test_labels_tell_all_routes_apart() -> None:
    labels = [route.label for route in SITE]
    assert len(set(labels)) == len(labels) == len(SITE)


def test_a_method_that_no_route_takes() -> None:
    routes = several({"path": "/a", "methods": ("GET",)}, {"path": "/a/b", "methods": ("PUT",)})
    assert routes.match("/", "POST") is None
    with pytest.raises(MethodNotAllowed) as caught:
        routes.match("/a/b", "POST")
    assert caught.value.headers == ((b"allow", b"GET, PUT"),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (({"path": "/a", "methods": ("GET", "PUT")}, {"path": "/a", "methods": ("PUT",)}), "path /a is there already for PUT"),
        (({"path": "/{a}"}, {"path": "/{b}"}), "path /{b} is there already"),
        (({"host": "a.b"}, {"host": "A.B"}), "path / is there already"),
        (({"path": "/x{id}"},), "'x{id}' in a path is no whole segment"),
        (({"path": "/{id"},), "'{id' in a path is no whole segment"),
        (({"path": "/{all+}/x"},), "'{all+}' takes all that follows; it must be the last segment"),
        (({"host": "a.b:80"},), "host 'a.b:80' is neither example.com nor"),
        (({"host": "a.*.b"},), "is neither example.com nor"),
        (({"methods": ("get",)},), "methods: 'get' is no method, such as GET or POST"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_an_error(
    changes: tuple[dict[str, Any], ...], reason: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)):
        several(*changes)


def test_routes_by_the_name_that_somebody_gives_them() -> None:
    routes = several(
        {"path": "/users/{id}", "methods": ("GET",)},
        {"path": "/users/{name}", "methods": ("PUT",)},
        {"path": "/users", "host": "a.example"},
        {"path": "/"},
    )
    for name, labels in (
        ("/users/{id}", ["GET /users/{id}"]),
        ("PUT /users/{name}", ["PUT /users/{name}"]),
        ("/", ["/"]),
        ("/users/42", ["a.example/users", "GET /users/{id}", "PUT /users/{name}"]),
        ("/other", ["/"]),
        ("nothing", []),
    ):
        assert [route.label for route in routes.named(name)] == labels


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"headers_add": {"a b": "1"}}, "headers_add: 'a b' is no name of a header"),
        ({"headers_add": {"x": "1\r\ny: 2"}}, "headers_add: the value of x is not printable ASCII"),
        ({"headers_add": {"Content-Length": "1"}}, "headers_add: Content-Length is the gateway's own affair"),
        ({"headers_remove": ("x-dialback-exchange",)}, "headers_remove: x-dialback-exchange is the gateway's own affair"),
        ({"request_headers_add": {"X-Forwarded-For": "1"}}, "request_headers_add: X-Forwarded-For is"),
        ({"request_headers_remove": ("host",)}, "request_headers_remove: host is"),
        ({"require_header": RequiredHeader("a b", "x")}, "require_header.name: 'a b' is no name"),
        ({"require_header": RequiredHeader("x-key", "gone")}, "require_header.secret_file: /srv/site/gone: No such file"),
        ({"cors": Cors(("https://a\n",))}, "cors: a value is not printable ASCII"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_kept_are_errors(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"routes[0]: {reason}")):
        several(change)


def test_a_secret_is_read_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef\n")
    (route,) = several({"require_header": RequiredHeader("X-Key", str(tmp_path / "key"))})
    assert route.rules.key == DoorKey(b"x-key", b"0123456789abcdef")
    assert "0123" not in repr(route)
    (tmp_path / "key").write_text("short")
    with pytest.raises(ConfigError, match="holds less than 16 bytes"):
        several({"require_header": RequiredHeader("X-Key", str(tmp_path / "key"))})
