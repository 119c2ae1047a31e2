"""A Function URL of the emulated Lambda: HTTP in, event, function, HTTP out, as AWS does it."""

from __future__ import annotations

import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.edge.request import split_target
from gateway.invoke.base import Invocation
from gateway.invoke.event import build_event
from gateway.invoke.result import BufferedResponse, parse_result
from gateway.messages import EdgeRequest
from tests.gateway.invoke.aws.web_server import serving
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.typedefs import Middleware

    from gateway.invoke.local.function import LocalFunction


@asynccontextmanager
async def function_url(function: LocalFunction, *middlewares: Middleware) -> AsyncIterator[str]:
    """Serve a function at a URL of this machine."""

    async def answer(request: web.Request) -> web.Response:
        event = build_event(
            read(request),
            exchange_id=uuid.uuid4().hex,
            body=await request.read(),
            now=time.time(),
        )
        result = await function.invoke(Invocation(event, client_context=None, timeout=PATIENCE))
        if result.function_error is not None:
            return web.Response(status=502, text="Internal Server Error")
        parsed = parse_result(result.payload)
        if isinstance(parsed, BufferedResponse):
            return respond(parsed)
        return web.Response(body=parsed.payload, content_type="application/json")

    app = web.Application(middlewares=middlewares, client_max_size=2**23)
    app.router.add_route("*", "/{path:.*}", answer)
    async with serving(app, auto_decompress=False) as url:
        yield url


def read(request: web.Request) -> EdgeRequest:
    """The request with its x-dialback header: to AWS it is one like any other."""
    path, query = split_target(request.raw_path)
    return EdgeRequest(
        method=request.method,
        path=path,
        query=query,
        headers=tuple((name.lower(), value) for name, value in request.raw_headers),
        version="HTTP/1.1",
        scheme="https",
        client_address=request.remote or "",
        trace_id=request.headers.get("X-Amzn-Trace-Id", ""),
        body=None,  # type: ignore[arg-type]  # read already
    )


def respond(parsed: BufferedResponse) -> web.Response:
    response = web.Response(status=parsed.status, body=parsed.body)
    response.headers.clear()
    for name, value in parsed.headers:
        response.headers.add(name.decode(), value.decode())
    return response
