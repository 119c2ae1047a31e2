"""Which function serves a request, and what its route says beside.

The most specific route wins: by host, then by the kind of path, then by length (`gateway.matching`);
among those of one path, the one that lists the method.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from gateway.errors import ConfigError, MethodNotAllowed
from gateway.matching import Sites, as_read, check_host, template_pattern
from gateway.route_rules import build_rules
from gateway.route_settings import SSE_HEARTBEAT
from gateway.rules import Rules
from gateway.targets import parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.matching import PathKind
    from gateway.route_settings import (
        DisconnectMode,
        PayloadVersion,
        RequestBodyMode,
        RouteSettings,
    )
    from gateway.rules import DoorKey
    from gateway.targets import Target

_PATH = re.compile(r"/[^\s?#\x00-\x1f\x7f]*")
_METHOD = re.compile(r"[A-Z][A-Z-]*")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")

FUNCTION_NAME_MAX = 64
"""Characters in the name of a Lambda function (API reference, CreateFunction: FunctionName)."""


@dataclass(frozen=True, slots=True)
class Route:
    """What it serves, and the function behind it.

    Attributes:
        path: a prefix without a trailing slash (``/`` for all), a whole path, or a template.
        name: the function's name: unique among the routes, fit for the Invoke API.
        target: the function.
        timeout: seconds to wait for a call.
        function_timeout: seconds the function may run.
        head_timeout: seconds from the callback to the response head; None: as long as `timeout`.
        concurrency: calls of the function at a time.
        queue: requests that may wait for one of those.
        request_body: ``inline``, ``spill`` or ``stream``.
        inline_body_max: bytes of request body that fit the event.
        request_body_max: bytes of request body that are taken at all; None: no limit.
        sse_error_event: tell the reader of an event stream that breaks off, with an event of its own.
        sse_heartbeat: seconds of silence in an event stream before a comment; 0 for none.
        compress: send text as gzip to clients that take it.
        on_disconnect: ``cancel`` or ``continue`` the function when its client leaves.
        kind: of the path.
        host: pattern in lower case; None: any.
        methods: that it takes; empty: all.
        payload: version of the event's format.
        rules: for headers.
        label: what tells it from all other routes, in metrics, logs and tables.
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
    request_body_max: int | None = None
    sse_error_event: bool = True
    sse_heartbeat: float = SSE_HEARTBEAT
    compress: bool = False
    on_disconnect: DisconnectMode = "cancel"
    head_timeout: float | None = None
    kind: PathKind = "prefix"
    host: str | None = None
    methods: frozenset[str] = frozenset()
    payload: PayloadVersion = "2.0"
    rules: Rules = field(default_factory=Rules)
    label: str = field(init=False)

    def __post_init__(self) -> None:
        parts = [",".join(sorted(self.methods))] if self.methods else []
        exact = "=" if self.kind == "exact" else ""
        parts.append(f"{exact}{self.host or ''}{self.path}")
        object.__setattr__(self, "label", " ".join(parts))

    def takes(self, method: str) -> bool:
        """Tell whether it serves a method; whoever takes GET takes HEAD."""
        methods = self.methods
        return not methods or method in methods or (method == "HEAD" and "GET" in methods)


class RouteTable:
    """All routes.

    The prefix ``/chat`` matches ``/chat`` and ``/chat/x``, and not ``/chatty``.
    """

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self._routes: list[Route] = []
        self._guarded = False
        self._sites: Sites[list[Route]] = Sites()
        for route in routes:
            self.add(route)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    def add(self, route: Route) -> None:
        """Take one more.

        Raises:
            ValueError: another one serves the same.
        """
        site = self._sites.site(route.host)
        there = site.get(route.kind, route.path) or []
        for other in there:
            both = route.methods & other.methods
            if both or route.methods == other.methods:
                of = f" for {', '.join(sorted(both))}" if both else ""
                raise ValueError(f"path {route.path} is there already{of}; remove one")
        self._routes.append(route)
        self._guarded = self._guarded or route.rules.key is not None
        # One without a list of methods serves what the others leave.
        site.put(route.kind, route.path, sorted([*there, route], key=lambda one: not one.methods))

    def match(self, path: str, method: str = "GET", host: bytes = b"") -> Route | None:
        """Return the route that serves a request, or None.

        Args:
            path: raw.
            method: in upper case.
            host: value of the Host header.

        Raises:
            MethodNotAllowed: routes serve the path, but not the method.
        """
        if not path.startswith("/"):
            return None
        others: set[str] = set()
        for site in self._sites.serving(host):
            for routes in site.matches(path):
                for route in routes:
                    if route.takes(method):
                        return route
                    others |= route.methods
        if others:
            raise MethodNotAllowed(", ".join(sorted(others)))
        return None

    def keys(self, path: str, method: str, host: bytes) -> set[DoorKey]:
        """Return every key that a request must have: a guard is not passed by going around it.

        That is the key of the route that serves it; of those that are more specific, and give way only
        because of the method, unless a route of the very same path takes it; and all of these once more
        for the path in both ways in which an application may read it (`matching.as_read`).

        Args:
            path: raw.
            method: in upper case.
            host: value of the Host header.
        """
        if not self._guarded or not path.startswith("/"):
            return set()
        keys = self._keys(path, method, host)
        for read in {as_read(path), as_read(path, resolved=False)} - {path}:
            keys |= self._keys(read, method, host)
        return keys

    def _keys(self, path: str, method: str, host: bytes) -> set[DoorKey]:
        keys: set[DoorKey] = set()
        for site in self._sites.serving(host):
            for routes in site.matches(path):
                taking = [route for route in routes if route.takes(method)][:1]
                keys.update(one.rules.key for one in taking or routes if one.rules.key is not None)
                if taking:
                    return keys
        return keys

    def named(self, name: str) -> list[Route]:
        """Return the routes that somebody means by a label, by a path of the configuration, or by one of a request."""
        found = [route for route in self._routes if name in (route.path, route.label)]
        if found or not name.startswith("/"):
            return found
        return [
            route
            for site in self._sites
            for routes in islice(site.matches(name), 1)
            for route in routes
        ]


def build_routes(settings: Iterable[RouteSettings]) -> RouteTable:
    """Make the table from what the configuration says.

    Raises:
        ConfigError: a setting of a route is wrong, or two routes serve the same.
    """
    table = RouteTable()
    names: set[str] = set()
    for one in settings:
        try:
            table.add(_route(one, names))
        except ValueError as error:
            raise ConfigError(f"{one.where}: {error}") from error
    return table


def _route(one: RouteSettings, names: set[str]) -> Route:
    kind, path = _path(one)
    target = parse_target(
        one.target,
        one.base,
        env=one.env,
        region=one.region,
        endpoint=one.endpoint,
        auth=one.auth,
    )
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
        request_body_max=one.request_body_max,
        head_timeout=one.head_timeout,
        sse_error_event=one.sse_error_event,
        sse_heartbeat=one.sse_heartbeat,
        compress=one.compress,
        on_disconnect=one.on_disconnect,
        kind=kind,
        host=None if one.host is None else check_host(one.host),
        methods=frozenset(map(_method, one.methods)),
        payload=one.payload,
        rules=build_rules(one),
    )


def _path(one: RouteSettings) -> tuple[PathKind, str]:
    if not _PATH.fullmatch(one.path):
        raise ValueError(f"{one.path!r} is not a path; it begins with / and has no space, ? or #")
    if "{" in one.path or "}" in one.path:
        template_pattern(one.path)
        return "template", one.path
    if one.match == "exact":
        return "exact", one.path
    return "prefix", one.path.rstrip("/") or "/"


def _method(text: str) -> str:
    if not _METHOD.fullmatch(text):
        raise ValueError(f"methods: {text!r} is no method, such as GET or POST")
    return text


def _unique_name(target: Target, names: set[str]) -> str:
    plain = _NOT_IN_A_NAME.sub("-", target.short_name)
    name = plain = plain[: FUNCTION_NAME_MAX - 4]
    number = 1
    while name in names:
        number += 1
        name = f"{plain}-{number}"
    names.add(name)
    return name
