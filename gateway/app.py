"""The composition root: the only file that names the concrete parts of a gateway."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.admin.application import Admin
from gateway.admin.server import few, runner_of
from gateway.callback.endpoint import CallbackEndpoint
from gateway.callback.server import CallbackServer
from gateway.crowds import Crowd
from gateway.edge.handler import EdgeHandler
from gateway.edge.origin import Proxies
from gateway.edge.server import EdgeServer
from gateway.exchange.driver import Driver
from gateway.exchange.invocation import CallbackOffer
from gateway.functions import Functions
from gateway.invoke.local.invoke_api import INVOKE_PATH, InvokeApi
from gateway.invoke.local.limits import REQUEST_MAX
from gateway.journal.budget import MemoryBudget
from gateway.journal.store import JournalStore
from gateway.log import writer_of
from gateway.telemetry import Telemetry
from gateway.telemetry.text import render
from protocol.limits import INITIAL_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aiohttp import web
    from prometheus_client.metrics_core import Metric as Family

    from gateway.config import GatewaySettings
    from gateway.credentials import Credentials
    from gateway.invoke.local.function import LocalFunction
    from gateway.routes import RouteTable

log = logging.getLogger("dialback.app")

FLUSH_SECONDS = 2.0
"""How long the last bytes may take to leave once nothing is being served any more."""

CUT_SECONDS = 2.5
"""How long functions may take to stop when they are told to: their library gives user code 2 s."""

SHED = 64
"""Parked callbacks, or silent connections, that are closed at a time when descriptors or memory are short: enough to go on with,
few enough not to lose every warm connection to a moment's need."""


class App:
    """One gateway, without its sockets.

    Args:
        routes: what it serves.
        callback_url: where functions dial.
        credentials: tokens that they show there, and certificates of the listeners.
        settings: of the process; its addresses are somebody else's business.
        development: reload changed code, and answer the Invoke API on the admin listener.
        page_origins: web origins whose pages may read the admin listener.

    Attributes:
        edge: the protocol factory of the edge listener; `callback` and `admin` likewise.
    """

    def __init__(
        self,
        routes: RouteTable,
        *,
        callback_url: str,
        credentials: Credentials,
        settings: GatewaySettings,
        development: bool = False,
        page_origins: Collection[str] = (),
    ) -> None:
        self._telemetry = telemetry = Telemetry()
        self._ready = False
        self._credentials = credentials
        self._watching: asyncio.Task[None] | None = None
        limits = settings.timing.limits()
        budget = MemoryBudget(settings.memory_budget)
        budget.on_tight = self.shed
        store = JournalStore(budget)
        self._functions = Functions(routes, reload=development)
        self._driver = Driver(
            self._functions.invokers,
            store,
            credentials.tokens,
            telemetry,
            CallbackOffer((callback_url,), INITIAL_WINDOW, limits),
            settings.timing,
        )
        base = urlsplit(callback_url).path
        self._endpoint = CallbackEndpoint(store, credentials.tokens, telemetry, limits, base)
        self._count(routes, budget)
        self._serve(routes, settings)
        self._admin = Admin(self, page_origins, settings.names_of_admin)
        self._invoke_api = _invoke_api(self._functions.local) if development else None
        self._admin_runner = self._make_admin_runner()

    def _count(self, routes: RouteTable, budget: MemoryBudget) -> None:
        """Let the numbers be asked of those who know them."""
        telemetry, connections = self._telemetry, self._endpoint.connections
        telemetry.callbacks = {
            "active": lambda: connections.active,
            "parked": lambda: connections.parked,
            "unattached": lambda: connections.unattached,
        }
        telemetry.tasks = lambda: len(asyncio.all_tasks())
        telemetry.memory = budget
        telemetry.lines_dropped = lambda: writer_of(sys.stderr).dropped
        for route in routes:
            telemetry.route(route.label)

    def _serve(self, routes: RouteTable, settings: GatewaySettings) -> None:
        """Make what the connections of edge and callback are handed to."""
        most, timing, proxies = (
            settings.connections,
            settings.timing,
            Proxies(settings.trusted_proxies),
        )
        self._handler = EdgeHandler(
            routes, self._driver, self._telemetry, timing, proxies, log_query=settings.log_query
        )
        crowd = Crowd("edge", most, settings.connections_per_address, proxies.trusts)
        self.edge = EdgeServer(self._handler, self._telemetry, timing, crowd)
        self.callback = CallbackServer(self._endpoint.handle, most, timing.request_head)

    def factories(self) -> dict[str, Callable[[], asyncio.BaseProtocol]]:
        """Return what makes the protocol of a connection, by listener; call it after `start`."""
        admin = self._admin_runner.server
        if admin is None:
            raise RuntimeError("the app has not been started")
        secured = self._credentials.secured
        return {
            "callback": secured("callback", self.callback, self.callback.crowd),
            "admin": few(admin),
            "edge": secured("edge", self.edge, self.edge.crowd),
        }

    async def start(self) -> None:
        """Start the functions, and wait until each has a worker or has said why not."""
        await self._admin_runner.setup()
        self._watching = asyncio.create_task(self._credentials.watch())
        await self._functions.start()

    def connections(self) -> int:
        """Return how many clients and functions are connected."""
        return len(self.edge.crowd) + len(self.callback.crowd)

    def accepting(self) -> None:
        """Everything listens: say so to whoever asks."""
        self._ready = True

    def refuse(self, seconds: float) -> None:
        """Admit nothing new from now on; what is begun has so many seconds left."""
        self._ready = False
        self._handler.drain()
        self._driver.refuse()
        self._endpoint.connections.drain(seconds)

    def shed(self) -> None:
        """Close some of the callbacks that nobody uses now: what they hold is short."""
        count = self._endpoint.connections.shed(SHED)
        if count:
            log.warning("%d parked callbacks were closed", count)

    def spare_descriptors(self) -> None:
        """Close some of those who say nothing; if there are none, some callbacks that nobody uses now."""
        if not sum(server.crowd.shed(SHED) for server in (self.edge, self.callback)):
            self.shed()

    async def finished(self) -> bool:
        """Wait until clients have their ends; return whether all functions have returned, too.

        Those get a moment only: one that goes on without a client may go on for minutes.
        """
        await asyncio.gather(self._handler.idle(), self._endpoint.connections.close_parked())
        await self.edge.flushed()
        return await self._driver.returned(FLUSH_SECONDS)

    async def cut(self) -> None:
        """Break off what is left, and give functions a moment to stop."""
        if not self._driver.cut():
            return
        try:
            async with asyncio.timeout(CUT_SECONDS):
                await asyncio.gather(self._handler.idle(), self._driver.returned(CUT_SECONDS))
        except TimeoutError:
            log.warning("not every function stopped within %g s", CUT_SECONDS)

    async def close(self) -> None:
        """End whatever is left, visibly broken where it is not complete, and every process."""
        if self._watching is not None:
            self._watching.cancel()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._admin_runner.cleanup)
            stack.push_async_callback(self._functions.close)
            if self._invoke_api is not None:
                stack.push_async_callback(self._invoke_api.aclose)
            stack.push_async_callback(self._driver.close)
            stack.push_async_callback(self.callback.shutdown, FLUSH_SECONDS)
            stack.push_async_callback(self._endpoint.connections.ended)
            stack.callback(self._endpoint.connections.close)
            self._handler.abort()
            await self.edge.shutdown(FLUSH_SECONDS)
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self.edge.disconnected()
            except TimeoutError:
                log.warning("clients that took nothing any more are cut off")
                self.edge.reset()
            self._handler.close()

    # ------------------------------------------------------------ what operators ask

    async def troubles(self) -> list[str]:
        """Return nothing: whoever answers is alive."""
        return []

    async def ready(self) -> bool:
        """Tell whether new requests are welcome: not before all listen, not while draining."""
        return self._ready

    async def metrics(self) -> bytes:
        """Return every number, in Prometheus' text format."""
        # In a thread: a hundred routes are 50 ms of text, and streams go on meanwhile.
        return await asyncio.to_thread(render, self.families())

    def families(self) -> list[Family]:
        """Return every number."""
        return self._telemetry.families()

    async def exchanges(self) -> list[dict[str, Any]]:
        """Return those that ended last, and those under way, oldest first."""
        return self._driver.listed(monotonic())

    def _make_admin_runner(self) -> web.AppRunner:
        posts = {} if self._invoke_api is None else {INVOKE_PATH: self._invoke_api.handle}
        application = self._admin.application(posts, body_max=REQUEST_MAX + 1)
        return runner_of(application)


def _invoke_api(functions: dict[str, LocalFunction]) -> InvokeApi:
    return InvokeApi({function.spec.name: function for function in functions.values()})
