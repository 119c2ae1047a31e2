"""The one door that functions knock at: ``GET /v1/attach``, refused or upgraded to a WebSocket.

aiohttp reads and judges the request. With the answer the connection changes hands: see `WebSocket`.
"""

from __future__ import annotations

import json
import logging
import random
import time
from typing import TYPE_CHECKING, cast

from aiohttp import web
from websockets.utils import accept_key

from gateway.callback.connections import Connections
from gateway.callback.pump import Pump
from gateway.callback.websocket import WebSocket
from gateway.quiet_connection import Sent
from gateway.tokens import TokenError
from protocol.limits import ATTACH_PATH, SUBPROTOCOL, choose_subprotocol

if TYPE_CHECKING:
    from gateway.callback.server import CallbackConnection
    from gateway.journal.store import JournalStore
    from gateway.telemetry import Telemetry
    from gateway.tokens import Tokens
    from protocol.limits import Limits

log = logging.getLogger("dialback.callback")

UNAUTHORIZED = "a token of a running exchange is wanted: Authorization: Bearer TOKEN"

RETRY_AFTER = (1, 3)
"""Seconds, drawn at random for each: those who were refused together should not come back together."""

_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %%s\r\nSec-WebSocket-Protocol: %s\r\n\r\n" % SUBPROTOCOL.encode()
)
"""RFC 6455 section 4.2.2; no extension is negotiated."""

_UPGRADED = Sent(keep_alive=False)


class CallbackEndpoint:
    """Checks who knocks, upgrades, and lets a `Pump` run the connection.

    Args:
        store: of the exchanges that run here.
        tokens: checks what functions show.
        telemetry: counts them.
        limits: of the protocol.
        base: path of the callback URL: a load balancer in front may leave it in place or take it away.

    Attributes:
        connections: those that are open.
    """

    def __init__(
        self,
        store: JournalStore,
        tokens: Tokens,
        telemetry: Telemetry,
        limits: Limits,
        base: str = "",
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._telemetry = telemetry
        self._limits = limits
        self._paths = frozenset({ATTACH_PATH, base + ATTACH_PATH})
        self.connections = Connections()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one HTTP request on the callback listener."""
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        self._upgrade(request)
        return _UPGRADED

    def _upgrade(self, request: web.BaseRequest) -> None:
        """Answer, and let a `Pump` have the connection; aiohttp forgets it."""
        transport = request.transport
        if transport is None or transport.is_closing():
            log.info("callback lost in the middle of the handshake")
            return
        connection = cast("CallbackConnection", request.protocol)
        socket = WebSocket(transport, self._limits.max_message, connection.crowd)
        pump = Pump(socket, self._store, self._telemetry, self._limits, self.connections)
        socket.serve(pump)
        pump.start()
        transport.write(_SWITCHING % accept_key(request.headers["Sec-WebSocket-Key"]).encode())
        connection.pass_on(transport, socket)

    def _refuse(self, request: web.BaseRequest) -> web.Response | None:
        if request.path not in self._paths:
            return _error(404, f"nothing here; functions attach at {ATTACH_PATH}")
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if choose_subprotocol([name.strip() for name in offered.split(",")]) is None:
            return _error(
                400, f"this gateway speaks {SUBPROTOCOL}; offered: {offered or 'nothing'}"
            )
        upgrade = web.WebSocketResponse(protocols=(SUBPROTOCOL,)).can_prepare(request)
        if request.method != "GET" or not upgrade:
            return _error(400, "a WebSocket upgrade is wanted here")
        if self.connections.full:
            return self._refuse_for_now()
        return self._refuse_token(request.headers.get("Authorization", ""))

    def _refuse_for_now(self) -> web.Response:
        """Answer before the upgrade: that is where a refusal costs least, for both ends."""
        self._telemetry.attach("overloaded")
        refusal = _error(503, "too many connections have yet to attach; come back later")
        refusal.headers["Retry-After"] = str(random.randint(*RETRY_AFTER))  # noqa: S311 - no secret
        return refusal

    def _refuse_token(self, authorization: str) -> web.Response | None:
        scheme, _, token = authorization.partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise TokenError("an Authorization header with a Bearer token is wanted")
            self._tokens.verify(token.strip(), now=time.time())
        except TokenError as error:
            self._telemetry.attach("unauthorized")
            log.info("callback refused before the upgrade: %s", error)
            return _error(401, UNAUTHORIZED)  # a stranger learns nothing from the difference
        return None


def _error(status: int, reason: str) -> web.Response:
    return web.Response(
        status=status, body=json.dumps({"error": reason}).encode(), content_type="application/json"
    )
