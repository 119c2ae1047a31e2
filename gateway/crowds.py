"""How many connections a listener holds: in all, and from one address.

Beyond, a connection is reset as soon as it is accepted: that costs least, and a load balancer tries another
gateway. What one that is let in may hold is limited by time, where it is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from aiohttp import web
from typing_extensions import override

from gateway.quiet_connection import QuietConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = logging.getLogger("dialback.server")

LOG_SECONDS = 10.0
"""So often a listener that is full says so; a line for each refusal would be one more thing to fill."""


class Crowd:
    """The connections of one listener.

    Args:
        name: of the listener, for the log.
        most: how many there may be.
        each: how many from one address; None for as many.
        trusts: tells whose address stands for many clients: a proxy's.

    Attributes:
        make_room: called when all places are taken; some may be held by who has yet to show something.
    """

    def __init__(
        self,
        name: str,
        most: int,
        each: int | None = None,
        trusts: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._name = name
        self._most = most
        self._each = each
        self._trusts = trusts
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._silent_until = 0.0
        self.make_room: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def enter(self, transport: asyncio.BaseTransport) -> str | None:
        """Count a connection; return what `leave` wants to know, or None if it may not stay."""
        peer = transport.get_extra_info("peername")
        address = peer[0] if peer else ""
        if self._is_greedy(address):
            self.tell(f"{address} has {self._each} connections open; more are refused")
            return None
        if self._count >= self._most:
            self.make_room()
        if self._count >= self._most:
            self.tell(f"{self._count} connections are open; more are refused")
            return None
        self._count += 1
        if self._each is not None:
            self._by_address[address] += 1
        return address

    def leave(self, address: str) -> None:
        """A connection that was counted is no more."""
        self._count -= 1
        if self._each is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def tell(self, what: str) -> None:
        """Log that there is no room for all, but not each time."""
        now = asyncio.get_running_loop().time()
        if now >= self._silent_until:
            self._silent_until = now + LOG_SECONDS
            log.warning("%s listener: %s", self._name, what)

    def _is_greedy(self, address: str) -> bool:
        enough = self._each is not None and self._by_address[address] >= self._each
        return enough and not self._trusts(address)


class CrowdServer(web.Server):
    """aiohttp's server, for no more connections than a crowd has room for, and quiet ones.

    Args:
        handler: of its requests.
        crowd: who is there.
        settings: aiohttp's own.
    """

    def __init__(self, handler: Handler, crowd: Crowd, **settings: Any) -> None:
        super().__init__(handler, **settings)
        self.crowd = crowd
        self._addresses: dict[web.RequestHandler, str] = {}

    @override
    def __call__(self) -> web.RequestHandler:
        return QuietConnection(self, loop=self._loop, **self._kwargs)

    @override
    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        address = self.crowd.enter(transport)
        if address is None:
            transport.abort()
        else:
            self._addresses[handler] = address

    @override
    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        address = self._addresses.pop(handler, None)
        if address is not None:
            self.crowd.leave(address)
