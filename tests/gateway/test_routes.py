from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.route_settings import RouteSettings
from gateway.routes import RouteTable, build_routes
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
