"""What operators ask: is it alive, is it ready, what does it count, what is going on.

This listener has no login: it binds to loopback by default, and no web page may use it but those
whose origin was handed in, and those only to read. A page of another origin that a developer has
open could otherwise call functions here, or read what is going on. Nor may a page whose own name was
made to point here (DNS rebinding): requests must come to an address, or to a name that was handed in.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBES = frozenset({"/healthz", "/readyz"})
"""What anybody may ask under any name: load balancers have theirs, and the answers hold nothing."""

MISDIRECTED = "the admin listener is not known by this name: use its address, or add it to gateway.admin_names"


class Source(Protocol):
    """Whom operators ask about: one gateway process, or all that share its work."""

    async def troubles(self) -> Sequence[str]:
        """Return what is wrong, a line for each; nothing: it is alive and well."""

    async def ready(self) -> bool:
        """Tell whether new requests are welcome: not before all listen, not while draining."""

    async def metrics(self) -> bytes:
        """Return every number, in Prometheus' text format."""

    async def exchanges(self) -> Sequence[Mapping[str, Any]]:
        """Return what goes on, and what ended last."""


class Admin:
    """The handlers of the admin listener.

    Args:
        source: whom they ask.
        origins: web origins whose pages may read, such as ``http://127.0.0.1:8080``.
        names: of this host, beside ``localhost`` and its addresses.
    """

    def __init__(
        self, source: Source, origins: Collection[str] = (), names: Collection[str] = ()
    ) -> None:
        self._source = source
        self._origins = frozenset(origins)
        self._names = frozenset({"localhost", *(name.lower() for name in names)})

    def application(
        self, posts: Mapping[str, Handler] | None = None, *, body_max: int = 1024
    ) -> web.Application:
        """Return the web application.

        Args:
            posts: further POST handlers by path.
            body_max: bytes of request body that they take.
        """
        app = web.Application(middlewares=[self._guard], client_max_size=body_max)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/exchanges", self._list)
        for path, handler in (posts or {}).items():
            app.router.add_post(path, handler)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in PROBES and not self._is_ours(request.headers.get("Host", "")):
            return _json({"error": MISDIRECTED}, status=421)
        origin = request.headers.get("Origin")
        if origin is not None and not (origin in self._origins and request.method == "GET"):
            return _json({"error": "web pages of this origin may not do that here"}, status=403)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _json({"error": error.reason}, status=error.status)
        if origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"
        return response

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header is an address or one of our names; browsers always send one."""
        if not host:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name not in self._names:
                ip_address(name)
        except ValueError:
            return False
        return True

    async def _healthz(self, request: web.Request) -> web.Response:
        troubles = await self._source.troubles()
        if not troubles:
            return web.Response(text="ok\n")
        return web.Response(text="".join(f"{line}\n" for line in troubles), status=503)

    async def _readyz(self, request: web.Request) -> web.Response:
        if await self._source.ready():
            return web.Response(text="ready\n")
        return web.Response(text="not ready\n", status=503)

    async def _metrics(self, request: web.Request) -> web.Response:
        numbers = await self._source.metrics()
        return web.Response(body=numbers, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _list(self, request: web.Request) -> web.Response:
        return _json(await self._source.exchanges())


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value) + b"\n",
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
