"""Which function serves a path."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from gateway.route_settings import RequestBodyMode, RouteSettings

_LATER_TARGETS = ("aws:", "function_url:")
_PATH = re.compile(r"/[^\s?#\x00-\x1f\x7f]*")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")

FUNCTION_NAME_MAX = 64
"""Characters in the name of a Lambda function (API reference, CreateFunction: FunctionName)."""


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A function that the emulated Lambda runs.

    Attributes:
        file: the Python file, absolute.
        handler: the name in that file, dots allowed.
        env: variables added to the function's environment.
    """

    file: Path
    handler: str
    env: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, text: str, base: Path, env: Mapping[str, str] | None = None) -> LocalTarget:
        """Read ``local:FILE.py:HANDLER`` or ``FILE.py:HANDLER``.

        Args:
            text: the target.
            base: the directory that a relative file starts from.
            env: variables added to the function's environment.

        Raises:
            ValueError: it is not that, or is a kind of target that comes with a later release.
        """
        for kind in _LATER_TARGETS:
            if text.startswith(kind):
                raise ValueError(
                    f"target {text!r}: {kind} targets come with a later release;"
                    " use local:FILE.py:HANDLER"
                )
        file, colon, handler = text.removeprefix("local:").rpartition(":")
        if not colon or not file.endswith(".py") or not _is_dotted_name(handler):
            raise ValueError(f"target {text!r} is not FILE.py:HANDLER, such as app.py:handler")
        return cls((base / file).resolve(), handler, dict(env or {}))


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
    """

    path: str
    name: str
    target: LocalTarget
    timeout: float
    function_timeout: float
    concurrency: int
    queue: int
    request_body: RequestBodyMode
    inline_body_max: int
    sse_error_event: bool = True
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
        target = LocalTarget.parse(one.target, one.base, one.env)
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
    )


def _normal_path(one: RouteSettings) -> str:
    if not _PATH.fullmatch(one.path):
        raise ConfigError(
            f"{one.where}: {one.path!r} is not a path; it begins with / and has no space, ? or #"
        )
    return one.path.rstrip("/") or "/"


def _unique_name(target: LocalTarget, names: set[str]) -> str:
    plain = _NOT_IN_A_NAME.sub("-", f"{target.file.stem}-{target.handler}")
    name = plain = plain[: FUNCTION_NAME_MAX - 4]
    number = 1
    while name in names:
        number += 1
        name = f"{plain}-{number}"
    names.add(name)
    return name


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))
