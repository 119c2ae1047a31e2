"""The HTTP server of the admin listener: a few operators and their machines, nobody else."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from typing_extensions import override

from gateway.quiet_connection import QuietConnection

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("dialback.admin")

CONNECTIONS_MAX = 256
"""Scrapers, health probes, and people: far fewer, in any installation."""

IDLE_SECONDS = 75.0
"""For a request head, and between two requests: longer than scrapers pause (15 to 60 s)."""

LINGER_SECONDS = 1.0
"""How long the body of a refused request is read, so that its sender gets to read the answer."""

SHUTDOWN_SECONDS = 2.0
"""How long the last answer may take to leave."""


def runner_of(application: web.Application) -> web.AppRunner:
    """Return what runs the application."""
    return web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)


def few(server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
    """Return the factory of a server's connections, for `CONNECTIONS_MAX` of them."""

    def make() -> asyncio.BaseProtocol:
        if len(server.connections) >= CONNECTIONS_MAX:
            return _Refusal()
        return QuietConnection(server, loop=asyncio.get_running_loop(), **_SETTINGS)

    return make


_SETTINGS: dict[str, Any] = {
    "logger": log,
    "access_log": None,
    "keepalive_timeout": IDLE_SECONDS,
    "lingering_time": LINGER_SECONDS,
}


class _Refusal(asyncio.Protocol):
    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()
