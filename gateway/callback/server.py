"""The HTTP server of the callback listener: whoever is not a function with a token leaves soon."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from gateway.callback.connections import PARKED_MAX, UNATTACHED_MAX
from gateway.crowds import Crowd, CrowdServer

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aiohttp import web

    from gateway.crowds import Handler
    from gateway.quiet_connection import QuietConnection

log = logging.getLogger("dialback.callback")

LINGER_SECONDS = 1.0
"""How long the body of a refused request is read, so that its sender gets to read the answer."""


class CallbackServer(CrowdServer):
    """Parses HTTP, up to the upgrade.

    Args:
        handler: of requests.
        exchanges: how many clients there may be; each has one callback, and another while it resumes.
        patience: seconds for a request head, from the connection or from the answer before it.
    """

    def __init__(self, handler: Handler, exchanges: int, patience: float) -> None:
        crowd = Crowd("callback", 2 * exchanges + PARKED_MAX + UNATTACHED_MAX)

        def handle(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
            crowd.knows(cast("QuietConnection", request.protocol))
            return handler(request)

        super().__init__(
            handle,
            crowd,
            access_log=None,
            logger=log,
            keepalive_timeout=patience,
            lingering_time=LINGER_SECONDS,
        )
