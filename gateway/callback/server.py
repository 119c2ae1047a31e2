"""The HTTP server of the callback listener: whoever is not a function with a token leaves soon."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override

from gateway.callback.connections import PARKED_MAX, UNATTACHED_MAX
from gateway.crowds import Crowd, CrowdServer
from gateway.quiet_connection import QuietConnection

if TYPE_CHECKING:
    import asyncio

    from aiohttp import web

    from gateway.callback.websocket import WebSocket
    from gateway.crowds import Handler

log = logging.getLogger("dialback.callback")

LINGER_SECONDS = 1.0
"""How long the body of a refused request is read, so that its sender gets to read the answer."""


class CallbackServer(CrowdServer):
    """Parses HTTP, up to the upgrade: only that makes a connection known, for anybody can send a request.

    Args:
        handler: of requests.
        exchanges: how many clients there may be; each has one callback, and another while it resumes.
        patience: seconds for a request head, from the connection or from the answer before it.
    """

    def __init__(self, handler: Handler, exchanges: int, patience: float) -> None:
        super().__init__(
            handler,
            Crowd("callback", 2 * exchanges + PARKED_MAX + UNATTACHED_MAX),
            access_log=None,
            logger=log,
            keepalive_timeout=patience,
            lingering_time=LINGER_SECONDS,
        )

    @override
    def __call__(self) -> web.RequestHandler:
        return CallbackConnection(self, loop=self._loop, **self._kwargs)


class CallbackConnection(QuietConnection):
    """aiohttp's side of a connection, until its upgrade."""

    @property
    def crowd(self) -> Crowd:
        """Where it is counted, and whoever takes it over."""
        assert isinstance(self._manager, CallbackServer)  # noqa: S101 - it made this
        return self._manager.crowd

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if transport.is_closing() and self._task_handler is not None:
            self._task_handler.cancel()  # there was no room: by the time it began, nothing would be there

    def pass_on(self, transport: asyncio.Transport, heir: WebSocket) -> None:
        """Let another have the connection, from behind the request on; nothing of it is kept here.

        For aiohttp it is lost: what its handler returns then must be `Sent`.
        """
        transport.set_protocol(heir)
        self.set_parser(cast("Any", _Early(heir)))
        self.crowd.hand_over(self, heir)
        self.transport = None  # else it would be closed
        self.connection_lost(None)


class _Early:
    """Passes on what came behind the request already, as aiohttp feeds it to what parses from there on."""

    def __init__(self, heir: WebSocket) -> None:
        self.feed_data = heir.data_received

    def feed_eof(self) -> None:
        """The heir is told by the transport."""
