"""The HTTP server of the admin listener: a few operators and their machines, nobody else."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web
from typing_extensions import override

from gateway.crowds import Crowd
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
    crowd = Crowd("admin", CONNECTIONS_MAX)
    return lambda: AdminConnection(crowd, server)


class AdminConnection(QuietConnection):
    """One that asks, or gives way: a probe that finds no place has the gateway restarted."""

    def __init__(self, crowd: Crowd, server: web.Server) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_SETTINGS)
        self._crowd = crowd

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._crowd.enter(self, transport):
            self.give_way()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages:
            self._crowd.knows(self)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._crowd.leave(self)


_SETTINGS: dict[str, Any] = {
    "logger": log,
    "access_log": None,
    "keepalive_timeout": IDLE_SECONDS,
    "lingering_time": LINGER_SECONDS,
}
