"""Settings of one route: its ``[[routes]]`` table in the configuration file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from gateway.rules import Cors  # noqa: TC001 - msgspec reads the annotation
from protocol.limits import INLINE_REQUEST_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RequestBodyMode = Literal["inline", "spill", "stream"]
AuthMode = Literal["none", "iam"]
PathMatch = Literal["prefix", "exact"]
PayloadVersion = Literal["2.0", "1.0"]
DisconnectMode = Literal["cancel", "continue"]

DEFAULT_CONCURRENCY = 16
"""Calls of one function at a time: enough for a page that loads its parts in parallel, and few
enough that sixteen emulated workers (some 25 MB each) fit a laptop."""

DEFAULT_QUEUE = 128
"""Requests that wait for one of those: eight rounds; more would only wait to be timed out."""

DEFAULT_FUNCTION_TIMEOUT = 30.0
"""Seconds a function may run: long enough for a streamed answer, short enough to notice a hang."""

ROUTE_TIMEOUT_MARGIN = 10.0
"""Seconds a route waits beyond its function, so that the function's own timeout is what is seen."""

LAMBDA_TIMEOUT_MAX = 900.0
"""Seconds; the longest timeout Lambda lets a function have (15 minutes)."""

ROUTE_TIMEOUT_MAX = 86_400.0
"""Seconds; a day. A larger number is a mistake in the unit, such as milliseconds."""

SSE_HEARTBEAT = 15.0
"""Seconds: a quarter of the shortest idle time of common proxies (nginx and AWS's load balancers: 60), and
what the HTML standard suggests for such comments (section 9.2.7)."""

CONCURRENCY_MAX = 100_000
"""A larger number than any account has; it is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """One ``[[routes]]`` table, values checked, its target still text (see `gateway.routes`).

    Attributes:
        where: how to name this table in an error, e.g. ``dialback.toml: routes[0]``.
        path: what it serves: a prefix, a whole path, or a template such as ``/users/{id}``.
        target: the function, e.g. ``local:app.py:handler`` or ``aws:orders:live``.
        base: the directory that a relative target file starts from.
        function_timeout: seconds the function may run.
        timeout: seconds the route waits for the call.
        head_timeout: seconds from the callback to the response head; absent: as long as `timeout`.
        request_body: how request bodies travel: ``inline`` in the event alone (larger ones: 413), ``spill``
            what does not fit over the callback, ``stream`` every one over the callback.
        inline_body_max: bytes of body that go into an event.
        request_body_max: bytes of body that are taken at all, larger ones: 413; absent: no limit.
        concurrency: calls of the function at a time.
        queue: requests that wait for one of those.
        sse_error_event: tell the reader of an event stream that breaks off, with an event of its own.
        sse_heartbeat: seconds of silence in an event stream before a comment; 0 for none.
        compress: send text as gzip to clients that take it, flushed with every write.
        on_disconnect: ``cancel`` the function when its client leaves, or let it ``continue`` to its end.
        env: variables for an emulated function.
        host: ``example.com`` or ``*.example.com``; absent: any.
        methods: that it takes; absent: all.
        match: whether a path without braces is a prefix or exact.
        payload: version of the event's format.
        headers_add: set on responses, in place of the function's own.
        headers_remove: taken away from responses.
        request_headers_add: set on what the function is told, in place of the client's own.
        request_headers_remove: taken away from what the function is told.
        require_header: what a request must have to be let in.
        cors: which pages of other origins may call.
        region: AWS region of an ``aws:`` target whose name does not tell.
        endpoint: URL of another Lambda API than the region's, for an ``aws:`` target.
        auth: ``iam`` to sign the calls of a ``function_url:`` target.
    """

    where: str
    path: str
    target: str
    base: Path
    function_timeout: float = DEFAULT_FUNCTION_TIMEOUT
    timeout: float = DEFAULT_FUNCTION_TIMEOUT + ROUTE_TIMEOUT_MARGIN
    request_body: RequestBodyMode = "inline"
    inline_body_max: int = INLINE_REQUEST_MAX
    request_body_max: int | None = None
    concurrency: int = DEFAULT_CONCURRENCY
    queue: int = DEFAULT_QUEUE
    sse_error_event: bool = True
    sse_heartbeat: float = SSE_HEARTBEAT
    compress: bool = False
    on_disconnect: DisconnectMode = "cancel"
    head_timeout: float | None = None
    host: str | None = None
    methods: tuple[str, ...] = ()
    match: PathMatch = "prefix"
    payload: PayloadVersion = "2.0"
    headers_add: Mapping[str, str] = field(default_factory=dict)
    headers_remove: tuple[str, ...] = ()
    request_headers_add: Mapping[str, str] = field(default_factory=dict)
    request_headers_remove: tuple[str, ...] = ()
    require_header: RequiredHeader | None = None
    cors: Cors | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    endpoint: str | None = None
    auth: AuthMode | None = None


class RequiredHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``require_header`` table of a route.

    Attributes:
        name: of the header.
        secret_file: holds its value.
    """

    name: str
    secret_file: str


class RouteTable(msgspec.Struct, forbid_unknown_fields=True):
    """A ``[[routes]]`` table as it stands in the file; see `RouteSettings`."""

    path: str
    target: str
    function_timeout: Annotated[float, msgspec.Meta(gt=0, le=LAMBDA_TIMEOUT_MAX)] | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0, le=ROUTE_TIMEOUT_MAX)] | None = None
    head_timeout: Annotated[float, msgspec.Meta(gt=0, le=ROUTE_TIMEOUT_MAX)] | None = None
    request_body: RequestBodyMode = "inline"
    inline_body_max: Annotated[int, msgspec.Meta(ge=0, le=INLINE_REQUEST_MAX)] = INLINE_REQUEST_MAX
    request_body_max: Annotated[int, msgspec.Meta(ge=0)] | None = None
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=CONCURRENCY_MAX)] = DEFAULT_CONCURRENCY
    queue: Annotated[int, msgspec.Meta(ge=0, le=CONCURRENCY_MAX)] = DEFAULT_QUEUE
    sse_error_event: bool = True
    sse_heartbeat: Annotated[float, msgspec.Meta(ge=0, le=ROUTE_TIMEOUT_MAX)] = SSE_HEARTBEAT
    compress: bool = False
    on_disconnect: DisconnectMode = "cancel"
    host: str | None = None
    methods: tuple[str, ...] = ()
    match: PathMatch = "prefix"
    payload: PayloadVersion = "2.0"
    headers_add: dict[str, str] = {}
    headers_remove: tuple[str, ...] = ()
    request_headers_add: dict[str, str] = {}
    request_headers_remove: tuple[str, ...] = ()
    require_header: RequiredHeader | None = None
    cors: Cors | None = None
    env: dict[str, str] = {}
    region: str | None = None
    endpoint: Annotated[str, msgspec.Meta(pattern="^https?://[^/]")] | None = None
    auth: AuthMode | None = None


def route_timeout(function_timeout: float) -> float:
    """Return how many seconds a route waits for a function that may run this long."""
    return function_timeout + ROUTE_TIMEOUT_MARGIN


def read_route(table: RouteTable, where: str, base: Path) -> RouteSettings:
    """Return what a table says; `where` names it in errors, relative files start from `base`."""
    function_timeout, timeout = _timeouts(table)
    return RouteSettings(
        where=where,
        path=table.path,
        target=table.target,
        base=base,
        function_timeout=function_timeout,
        timeout=timeout,
        request_body=table.request_body,
        inline_body_max=table.inline_body_max,
        request_body_max=table.request_body_max,
        concurrency=table.concurrency,
        queue=table.queue,
        head_timeout=table.head_timeout,
        sse_error_event=table.sse_error_event,
        sse_heartbeat=table.sse_heartbeat,
        compress=table.compress,
        on_disconnect=table.on_disconnect,
        host=table.host,
        methods=table.methods,
        match=table.match,
        payload=table.payload,
        headers_add=table.headers_add,
        headers_remove=table.headers_remove,
        request_headers_add=table.request_headers_add,
        request_headers_remove=table.request_headers_remove,
        require_header=table.require_header,
        cors=table.cors,
        env=dict(table.env),
        region=table.region,
        endpoint=table.endpoint,
        auth=table.auth,
    )


def _timeouts(table: RouteTable) -> tuple[float, float]:
    """Return (function's, route's) seconds; either one, given alone, sets the other."""
    if table.function_timeout is None and table.timeout is not None:
        # A short timeout leaves the function at least half of it.
        function = max(table.timeout - ROUTE_TIMEOUT_MARGIN, table.timeout / 2)
        return min(function, LAMBDA_TIMEOUT_MAX), table.timeout
    function = table.function_timeout or DEFAULT_FUNCTION_TIMEOUT
    return function, table.timeout or route_timeout(function)
