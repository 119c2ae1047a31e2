"""From a request to its route, and what the route's rules do before the function is called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.errors import Forbidden, MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from collections.abc import Collection

    from gateway.edge.response import Sink
    from gateway.messages import EdgeRequest
    from gateway.routes import Route, RouteTable
    from gateway.rules import DoorKey


def enter(routes: RouteTable, request: EdgeRequest, sink: Sink) -> tuple[Route, EdgeRequest] | None:
    """Find the route of a request.

    Args:
        routes: all there are.
        request: as it came.
        sink: told what the route does to responses; answers a preflight that is ours.

    Returns:
        The route, and the request as its function is told; None if it is answered.

    Raises:
        NotFound: no route serves it.
        MethodNotAllowed: not with this method.
        Forbidden: it lacks a header that is required of it (`RouteTable.keys`).
    """
    host = request.header(b"host") or b""
    keys = routes.keys(request.path, request.method, host)
    if request.method == "OPTIONS" and _answers_preflight(routes, request, host, sink):
        return None
    if keys:
        _check(keys, request)
    route = routes.match(request.path, request.method, host)
    if route is None:
        raise NotFound
    rules = route.rules
    if rules.cors is not None or rules.response is not None:
        sink.rewrite = partial(rules.on_response, origin=request.header(b"origin"))
    headers = request.headers
    if keys:
        names = {key.name for key in keys}
        headers = tuple(pair for pair in headers if pair[0] not in names)
    if rules.request is not None:
        headers = rules.request.apply(headers)
    return route, request if headers is request.headers else replace(request, headers=headers)


def _answers_preflight(routes: RouteTable, request: EdgeRequest, host: bytes, sink: Sink) -> bool:
    origin = request.header(b"origin")
    method = request.header(b"access-control-request-method")
    if origin is None or method is None:
        return False
    try:
        route = routes.match(request.path, method.decode("latin-1"), host)
    except MethodNotAllowed:
        return False
    if route is None or route.rules.cors is None:
        return False
    _check(routes.keys(request.path, method.decode("latin-1"), host), request)
    wanted = request.header(b"access-control-request-headers") or b""
    sink.begin(204, route.rules.cors.preflight_headers(origin, method, wanted), length=None)
    sink.end()
    return True


def _check(keys: Collection[DoorKey], request: EdgeRequest) -> None:
    for key in keys:
        if not key.opens(request.headers):
            raise Forbidden(f"without the {key.name.decode()} of its route")
