"""How many connections a listener holds: in all, and from one address.

Where room is short, whoever has been silent for longest gives way. First those who have shown nothing yet, no
request, no handshake, or at the callback no token: an honest client is done with that within a few round trips.
Then those who had their answer, and idle on a kept connection. Then the oldest who has shown nothing, however
young. If there are none, it is the newcomer that is reset as soon as it is accepted: that costs least, and a load
balancer tries another gateway. What one that is let in may hold is limited by time, where it is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol, cast

from aiohttp import web
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.quiet_connection import QuietConnection

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = logging.getLogger("dialback.server")

LOG_SECONDS = 10.0
"""So often a listener that is full says so; a line for each refusal would be one more thing to fill."""

SILENT_SECONDS = 2.0
"""In which an honest client has sent its request, or shaken hands: some round trips of any network. And in which
one that was answered has read it, and asks for more if it is at that."""

LOOK_SECONDS = 1.0
"""So often all connections are asked whether they idle, while there is no room: 20,000 take 10 to 30 ms. It costs
those who are served nothing, as a list kept with every request would."""


class Connection(Protocol):
    """What a crowd counts; compared by identity."""

    def idle_since(self) -> float | None:
        """When it was done with all it was asked for so far; None: it is not. Of no stranger is it asked."""

    def give_way(self) -> None:
        """End at once: others need the place, and nothing is under way."""


class Crowd:
    """The connections of one listener.

    Args:
        name: of the listener, for the log.
        most: how many there may be.
        each: how many from one address; None for as many.
        trusts: tells whose address stands for many clients: a proxy's.
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
        self._addresses: dict[Connection, str] = {}
        self._strangers: dict[Connection, float] = {}  # oldest first, and since when
        self._idlers: dict[Connection, float] = {}  # when they were looked for: oldest last
        self._next_look = 0.0
        self._by_address: Counter[str] = Counter()
        self._silent_until = 0.0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._addresses)

    def enter(self, connection: Connection, transport: asyncio.BaseTransport) -> bool:
        """Count one more, a stranger; return whether it may stay."""
        peer = transport.get_extra_info("peername")
        address = peer[0] if peer else ""
        if self._is_greedy(address):
            self.tell(f"{address} has {self._each} connections open; more are refused")
            return False
        if len(self) >= self._most and not self._make_room():
            self.tell(f"{len(self)} connections are open; more are refused")
            return False
        self._addresses[connection] = address
        self._strangers[connection] = asyncio.get_running_loop().time()
        if self._each is not None:
            self._by_address[address] += 1
        return True

    def knows(self, connection: Connection) -> None:
        """One has shown what it is here for, and gives way to nobody while it is at that."""
        self._strangers.pop(connection, None)

    def hand_over(self, before: Connection, after: Connection) -> None:
        """One has become another, which is no stranger, and keeps its place."""
        address = self._addresses.pop(before, None)
        if address is not None:
            self._strangers.pop(before, None)
            self._addresses[after] = address

    def leave(self, connection: Connection) -> None:
        """One is no more; told more than once, or of one that was not let in, it is nothing."""
        address = self._addresses.pop(connection, None)
        if address is None:
            return
        self._strangers.pop(connection, None)
        self._idlers.pop(connection, None)
        if self._each is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def shed(self, count: int) -> int:
        """Close up to `count` who have been silent for `SILENT_SECONDS`; how many it were."""
        silent = self._find_silent(count)
        for one in silent:
            self._dismiss(one)
        if silent:
            self.tell("descriptors are short; connections that are silent are closed")
        return len(silent)

    def tell(self, what: str) -> None:
        """Log that there is no room for all, but not each time."""
        now = asyncio.get_running_loop().time()
        if now >= self._silent_until:
            self._silent_until = now + LOG_SECONDS
            log.warning("%s listener: %s", self._name, what)

    def _is_greedy(self, address: str) -> bool:
        enough = self._each is not None and self._by_address[address] >= self._each
        return enough and not self._trusts(address)

    def _make_room(self) -> bool:
        chosen = self._find_silent(1) or list(islice(self._strangers, 1))
        for one in chosen:
            self.tell(f"{len(self)} connections are open; those that were silent for longest go")
            self._dismiss(one)
        return bool(chosen)

    def _find_silent(self, count: int) -> list[Connection]:
        now = asyncio.get_running_loop().time()
        late = now - SILENT_SECONDS
        found = [one for one, since in islice(self._strangers.items(), count) if since <= late]
        if len(found) < count and not self._idlers and now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._look_for_idlers(late)
        while len(found) < count and self._idlers:
            one, since = self._idlers.popitem()
            if one.idle_since() == since:  # nothing was asked meanwhile
                found.append(one)
        return found

    def _look_for_idlers(self, late: float) -> None:
        known = (one for one in self._addresses if one not in self._strangers)
        idle = [(one, since) for one in known if (since := one.idle_since()) and since <= late]
        self._idlers = dict(sorted(idle, key=itemgetter(1), reverse=True))

    def _dismiss(self, one: Connection) -> None:
        self.leave(one)
        one.give_way()


class CrowdServer(web.Server):
    """aiohttp's server, for no more connections than a crowd has room for.

    Args:
        handler: of its requests.
        crowd: who is there.
        settings: aiohttp's own.
    """

    def __init__(self, handler: Handler, crowd: Crowd, **settings: Any) -> None:
        super().__init__(handler, **settings)
        self.crowd = crowd

    @override
    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if not self.crowd.enter(cast("QuietConnection", handler), transport):
            transport.abort()

    @override
    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self.crowd.leave(cast("QuietConnection", handler))
