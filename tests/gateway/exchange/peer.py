"""A function's side by hand: `FunctionStream` over a real WebSocket, one step at a time.

`GatewayUnderTest` is a whole gateway in this process, on real sockets, whose functions are coroutines
of the test: each gets a `Peer` and returns what the invoke returns.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from typing_extensions import override

from gateway.callback.endpoint import CallbackEndpoint
from gateway.callback.server import CallbackServer
from gateway.edge.handler import EdgeHandler
from gateway.edge.server import EdgeServer
from gateway.exchange.driver import Driver
from gateway.exchange.invocation import CallbackOffer
from gateway.invoke.base import Invocation, Invoker, InvokeResult
from gateway.journal.store import JournalStore
from gateway.routes import Route, RouteTable
from gateway.targets import LocalTarget
from gateway.telemetry import Telemetry
from gateway.timing import Timing
from gateway.tokens import Tokens
from protocol.codec import decode, encode
from protocol.connection import FunctionConnection
from protocol.envelope import Envelope
from protocol.function_stream import FunctionState, FunctionStream
from protocol.limits import ATTACH_PATH, INITIAL_WINDOW, SUBPROTOCOL, Limits
from protocol.receipt import Receipt
from tests.patience import PATIENCE
from tests.settling import settle

if TYPE_CHECKING:
    from gateway.callback.connections import Connections
    from gateway.journal.budget import MemoryBudget
    from protocol.frames import Attach, Frame

Behaviour = Callable[["Peer"], Awaitable[Any]]

CLOSE_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=1.0)
"""A gateway that was told to be silent never answers a Close."""

_sids = itertools.count(1)


class Peer:
    """One invocation: its event, its envelope, and a stream to drive."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        context = json.loads(invocation.client_context or b"{}")
        self.event: dict[str, Any] = json.loads(invocation.event)
        self.envelope = Envelope.parse(context["custom"]["dialback"])
        self.stream = FunctionStream(self.envelope, secret=bytes(16), limits=Limits())
        self.received: list[Frame] = []
        self._session = aiohttp.ClientSession()
        self._connection = FunctionConnection(Limits(), 0)
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []
        self.socket: aiohttp.ClientWebSocketResponse

    async def dial(self, *, token: str | None = None, attach: bool = True) -> Peer:
        """Open a connection, and attach on it."""
        self.socket = await self._session.ws_connect(
            self.envelope.urls[0] + ATTACH_PATH,
            protocols=[SUBPROTOCOL],
            headers={"authorization": f"Bearer {token or self.envelope.token}"},
            timeout=CLOSE_TIMEOUT,
        )
        self._sockets.append(self.socket)
        self._connection = FunctionConnection(Limits(), self._now())
        if attach:
            await self.attach()
        return self

    async def attach(self, **changes: Any) -> Attach:
        sid = next(_sids)
        self._connection.open_stream(sid, self._now())
        frame = replace(self.stream.attach(sid), **changes)
        await self.send(frame)
        return frame

    async def attached(self) -> None:
        await self.until(lambda: self.stream.state is FunctionState.ATTACHED)

    async def send(self, frame: Frame) -> None:
        await self.socket.send_bytes(encode(frame))

    async def flush(self) -> None:
        """Send whatever the stream has to say."""
        for frame in self._connection.frames_to_send(self._now()):
            await self.send(frame)
        for frame in self.stream.frames_to_send(self._now()):
            await self.send(frame)

    async def receive(self) -> aiohttp.WSMessage:
        """Take one message; frames go to the stream."""
        message = await self.socket.receive(timeout=PATIENCE)
        if message.type is aiohttp.WSMsgType.BINARY:
            frame = decode(message.data)
            assert frame is not None
            self.received.append(frame)
            wanted = self._connection.receive(frame, self._now())
            if wanted is not None:
                self.stream.receive(wanted, self._now())
        return message

    async def until(self, done: Callable[[], bool]) -> None:
        """Receive until something is so.

        Raises:
            ConnectionError: the connection ended before.
        """
        while not done():
            message = await self.receive()
            if self.socket.closed and not done():
                raise ConnectionError(f"closed with {self.socket.close_code}: {message.type}")

    async def closed(self) -> int | None:
        """Receive until the gateway closes; the close code."""
        while not self.socket.closed:
            await self.receive()
        return self.socket.close_code

    async def start(
        self, status: int = 200, headers: Any = ((b"content-type", b"text/plain"),)
    ) -> None:
        self.stream.start(status, headers)
        await self.flush()

    async def write(self, data: bytes) -> None:
        while data:
            accepted = self.stream.write(data)
            data = data[accepted:]
            await self.flush()
            if data:
                await self.until(lambda: self.stream.room > 0 or self.stream.cancelled is not None)
                if self.stream.room == 0:
                    raise ConnectionError(f"{self.stream.cancelled}")

    async def end(self) -> dict[str, object]:
        """End the response, wait until the gateway holds it; the receipt."""
        self.stream.end()
        await self.flush()
        await self.until(lambda: self.stream.end_acknowledged)
        return self.receipt()

    def receipt(self, **changes: Any) -> dict[str, object]:
        return self.stream.receipt(**changes).to_json()

    async def cancelled(self) -> int:
        """Receive until the gateway says to stop; the code that it gives."""
        await self.until(lambda: self.stream.cancelled is not None)
        assert self.stream.cancelled is not None
        return self.stream.cancelled.code

    async def begin_and_lose(self, data: bytes) -> None:
        """Dial, write the beginning of a response, and lose the connection once the gateway has attached it."""
        await self.dial()
        await self.start()
        await self.write(data)
        await self.attached()
        await self.cut()

    async def cut(self) -> None:
        """Lose the connection without a word."""
        transport = self.socket._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()
        self.stream.detach()

    async def close(self) -> None:
        for socket in self._sockets:
            await socket.close()
        await self._session.close()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class PeerInvoker(Invoker):
    """Calls a coroutine of the test instead of Lambda."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.invocations = 0

    @override
    async def invoke(self, invocation: Invocation) -> InvokeResult:
        self.invocations += 1
        peer = Peer(invocation)
        try:
            value = await self._behaviour(peer)
        finally:
            await peer.close()
        if isinstance(value, InvokeResult):
            return value
        return InvokeResult(json.dumps(value).encode(), None, "request")


@dataclass
class GatewayUnderTest:
    """A gateway that serves `/`.

    Attributes:
        url: of the edge.
        callback_port: where peers dial.
    """

    url: str
    port: int
    callback_port: int
    handler: EdgeHandler
    connections: Connections
    driver: Driver
    store: JournalStore
    telemetry: Telemetry
    invoker: PeerInvoker

    @property
    def states(self) -> list[str]:
        return [exchange.state.value for exchange in self.driver.exchanges()]

    @property
    def data_frames(self) -> int:
        route = self.telemetry.route("/")
        return route.ended.with_those(self.telemetry.under_way).data_frames


@asynccontextmanager
async def gateway(
    behaviour: Behaviour,
    *,
    timing: Timing | None = None,
    tokens: Tokens | None = None,
    budget: MemoryBudget | None = None,
    **route: Any,
) -> AsyncIterator[GatewayUnderTest]:
    """Run a whole gateway whose one function is `behaviour`."""
    timing, tokens, invoker = timing or Timing(), tokens or Tokens(), PeerInvoker(behaviour)
    limits, store, telemetry = timing.limits(), JournalStore(budget), Telemetry()
    endpoint = CallbackEndpoint(store, tokens, telemetry, limits)
    callback_runner = web.ServerRunner(CallbackServer(endpoint.handle, 1000, PATIENCE))
    callback_port = await _listen(callback_runner)
    offer = CallbackOffer((f"ws://127.0.0.1:{callback_port}",), INITIAL_WINDOW, limits)
    served = route_of_test(**route)
    driver = Driver({served.label: invoker}, store, tokens, telemetry, offer, timing)
    handler = EdgeHandler(RouteTable([served]), driver, telemetry, timing)
    edge_runner = web.ServerRunner(EdgeServer(handler, telemetry, timing))
    port = await _listen(edge_runner)
    try:
        yield GatewayUnderTest(
            f"http://127.0.0.1:{port}",
            port,
            callback_port,
            handler,
            endpoint.connections,
            driver,
            store,
            telemetry,
            invoker,
        )
    finally:
        await settle()
        await edge_runner.cleanup()
        await driver.close()
        endpoint.connections.close()
        await endpoint.connections.ended()
        await callback_runner.cleanup()
        await settle()


def route_of_test(**changes: Any) -> Route:
    settings: dict[str, Any] = {
        "path": "/",
        "name": "peer",
        "target": LocalTarget(Path("peer.py"), "handler"),
        "timeout": 10.0,
        "function_timeout": 10.0,
        "concurrency": 4,
        "queue": 4,
        "request_body": "spill",
        "inline_body_max": 1024,
    }
    return Route(**(settings | changes))


async def _listen(runner: web.ServerRunner) -> int:
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    return port


def inline(peer: Peer, status: int, body: bytes) -> dict[str, object]:
    """The receipt of a small whole answer that never touched a socket."""
    peer.stream.start(status, ((b"content-type", b"text/plain"),))
    peer.stream.write(body)
    peer.stream.end()
    receipt = peer.stream.inline_answer()
    assert isinstance(receipt, Receipt)
    return receipt.to_json()
