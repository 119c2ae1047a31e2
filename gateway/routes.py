"""Which function serves a path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import ConfigError
from gateway.route_settings import SSE_HEARTBEAT
from gateway.targets import parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.route_settings import RequestBodyMode, RouteSettings
    from gateway.targets import Target

_PATH = re.compile(r"/[^\s?#\x00-\x1f\x7f]*")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")

FUNCTION_NAME_MAX = 64
"""Characters in the name of a Lambda function (API reference, CreateFunction: FunctionName)."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path prefix and the function behind it.

    Attributes:
        path: the prefix, without a trailing slash (``/`` for all).
        name: the function's name: unique among the routes, fit for the Invoke API.
        target: the function.
        timeout: seconds to wait for a call.
        function_timeout: seconds the function may run.
        head_timeout: seconds from the callback to the response head; None: as long as `timeout`.
        concurrency: calls of the function at a time.
        queue: requests that may wait for one of those.
        request_body: ``inline``, ``spill`` or ``stream``.
        inline_body_max: bytes of request body that fit the event.
        sse_error_event: tell the reader of an event stream that breaks off, with an event of its own.
        sse_heartbeat: seconds of silence in an event stream before a comment; 0 for none.
    """

    path: str
    name: str
    target: Target
    timeout: float
    function_timeout: float
    concurrency: int
    queue: int
    request_body: RequestBodyMode
    inline_body_max: int
    sse_error_event: bool = True
    sse_heartbeat: float = SSE_HEARTBEAT
    head_timeout: float | None = None


class RouteTable:
    """All routes; the longest prefix of whole segments wins.

    ``/chat`` matches ``/chat`` and ``/chat/x``, and not ``/chatty``.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes: dict[str, Route] = {}
        for route in routes:
            if route.path in self._routes:
                raise ConfigError(f"two routes have the path {route.path}; remove one")
            self._routes[route.path] = route
        self._depth = max((path.count("/") for path in self._routes), default=0)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())

    def __len__(self) -> int:
        return len(self._routes)

    def match(self, path: str) -> Route | None:
        """Return the route that serves a raw request path, or None."""
        if not path.startswith("/"):
            return None
        # Never looks deeper than the deepest route, however many slashes a client sends.
        prefix = "/".join(path.split("/", self._depth + 1)[: self._depth + 1])
        while prefix:
            if (route := self._routes.get(prefix)) is not None:
                return route
            prefix = prefix[: prefix.rindex("/")]
        return self._routes.get("/")


def build_routes(settings: Iterable[RouteSettings]) -> RouteTable:
    """Make the table from what the configuration says.

    Raises:
        ConfigError: a path or a target is wrong, or a path comes twice.
    """
    routes: dict[str, Route] = {}
    names: set[str] = set()
    for one in settings:
        path = _normal_path(one)
        if path in routes:
            raise ConfigError(f"{one.where}: path {path} is there already; remove one")
        routes[path] = _route(one, path, names)
    return RouteTable(routes.values())


def _route(one: RouteSettings, path: str, names: set[str]) -> Route:
    try:
        target = parse_target(
            one.target,
            one.base,
            env=one.env,
            region=one.region,
            endpoint=one.endpoint,
            auth=one.auth,
        )
    except ValueError as error:
        raise ConfigError(f"{one.where}: {error}") from error
    return Route(
        path=path,
        name=_unique_name(target, names),
        target=target,
        timeout=one.timeout,
        function_timeout=one.function_timeout,
        concurrency=one.concurrency,
        queue=one.queue,
        request_body=one.request_body,
        inline_body_max=one.inline_body_max,
        head_timeout=one.head_timeout,
        sse_error_event=one.sse_error_event,
        sse_heartbeat=one.sse_heartbeat,
    )


def _normal_path(one: RouteSettings) -> str:
    if not _PATH.fullmatch(one.path):
        raise ConfigError(
            f"{one.where}: {one.path!r} is not a path; it begins with / and has no space, ? or #"
        )
    return one.path.rstrip("/") or "/"


def _unique_name(target: Target, names: set[str]) -> str:
    plain = _NOT_IN_A_NAME.sub("-", target.short_name)
    name = plain = plain[: FUNCTION_NAME_MAX - 4]
    number = 1
    while name in names:
        number += 1
        name = f"{plain}-{number}"
    names.add(name)
    return name
