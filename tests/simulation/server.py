"""The real gateway, on a virtual loop and the simulated network."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.app import CUT_SECONDS, FLUSH_SECONDS
from gateway.callback.endpoint import CallbackEndpoint
from gateway.callback.server import CallbackServer
from gateway.edge.handler import EdgeHandler
from gateway.edge.server import EdgeServer
from gateway.exchange.driver import Driver
from gateway.exchange.invocation import CallbackOffer
from gateway.journal.store import JournalStore
from gateway.routes import Route, RouteTable
from gateway.sockets import CALLBACK_USER_TIMEOUT
from gateway.targets import LocalTarget
from gateway.telemetry import Telemetry
from gateway.timing import Timing
from gateway.tokens import Tokens
from protocol.limits import Limits
from tests.simulation.network import Listener

if TYPE_CHECKING:
    from gateway.invoke.base import Invoker
    from tests.simulation.loop import VirtualLoop
    from tests.simulation.network import Network
    from tests.simulation.scenario import Scenario

EDGE = ("edge", 80)
CALLBACK = ("callback", 80)
# Simulated clients may send as slowly as they like: what a slow one gets has tests of its own.
TIMING = Timing(write_stall=30.0, upload_grace=3600.0)
"""As a gateway has them, but for clients that stall: they are noticed before the kernel notices them."""


class Gateway:
    """One gateway with one route, listening at `EDGE` and `CALLBACK`.

    Attributes:
        driver: for its exchanges.
        store: for its journals.
        telemetry: for its counters.
        endpoint: for its connections.
    """

    def __init__(
        self, scenario: Scenario, loop: VirtualLoop, network: Network, invoker: Invoker
    ) -> None:
        """Build it; to be called on the loop."""
        limits = Limits(max_frame=scenario.max_frame)
        tokens = Tokens()
        self.store, self.telemetry = JournalStore(), Telemetry()
        self.endpoint = CallbackEndpoint(self.store, tokens, self.telemetry, limits)
        offer = CallbackOffer((f"ws://{CALLBACK[0]}",), scenario.window, limits)
        self.driver = Driver({"/": invoker}, self.store, tokens, self.telemetry, offer, TIMING)
        self._handler = EdgeHandler(
            RouteTable([_route(scenario)]), self.driver, self.telemetry, TIMING
        )
        self.edge = EdgeServer(self._handler, self.telemetry, TIMING)
        self.callback = CallbackServer(self.endpoint.handle, 1000, TIMING.request_head)
        self._edge_listener = Listener(loop, self.edge, TIMING.write_stall)
        self._callback_listener = Listener(loop, self.callback, CALLBACK_USER_TIMEOUT)
        network.listen(EDGE, self._edge_listener)
        network.listen(CALLBACK, self._callback_listener)

    async def stop(self, seconds: float) -> None:
        """Stop it, as gateway.serving and gateway.app do on SIGTERM."""
        self._edge_listener.refuse = ConnectionRefusedError(errno.ECONNREFUSED, "stopping")
        self._handler.drain()
        self.driver.refuse()
        self.endpoint.connections.drain(seconds)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(self._handler.idle(), self.endpoint.connections.close_parked())
                await self.edge.flushed()
                await self.driver.returned(FLUSH_SECONDS)
        except TimeoutError:
            if self.driver.cut():
                await asyncio.wait((asyncio.create_task(self._cut()),), timeout=CUT_SECONDS)
        await self.close()

    async def _cut(self) -> None:
        await asyncio.gather(self._handler.idle(), self.driver.returned(CUT_SECONDS))

    async def close(self) -> None:
        """End whatever is left, as gateway.app does."""
        self._handler.abort()
        await self.edge.shutdown(FLUSH_SECONDS)
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self.edge.disconnected()
        except TimeoutError:
            self.edge.reset()
        self._handler.close()
        self.endpoint.connections.close()
        await self.endpoint.connections.ended()
        await self.callback.shutdown(FLUSH_SECONDS)
        await self.driver.close()
        for listener in (self._edge_listener, self._callback_listener):
            listener.refuse = ConnectionRefusedError(errno.ECONNREFUSED, "stopped")


def _route(scenario: Scenario) -> Route:
    return Route(
        path="/",
        name="simulated",
        target=LocalTarget(Path("simulated.py"), "handler"),
        timeout=scenario.timeout,
        function_timeout=scenario.function_timeout,
        concurrency=scenario.concurrency,
        queue=scenario.queue,
        request_body=scenario.mode,
        inline_body_max=1024,
        sse_heartbeat=0,  # a comment is nothing that a function wrote; it has tests of its own
    )
