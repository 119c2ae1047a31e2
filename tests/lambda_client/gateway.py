"""A small WebSocket gateway on a real socket: aiohttp and the protocol's gateway side, in a thread.

    with Gateway() as gateway:
        exchange = gateway.exchange()
        receipt = handler(event(exchange), context(exchange))
        assert exchange.body == b"..."

Handlers run in the test's own thread, as Lambda runs them in its main thread.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from protocol.codec import decode, encode
from protocol.connection import GatewayConnection
from protocol.envelope import Envelope
from protocol.errors import CancelCode, ProtocolError
from protocol.frames import Attach, Attached, Data, EndAck, Frame, Head, Park, Reject, Reset
from protocol.gateway_stream import GatewayStream
from protocol.limits import INITIAL_WINDOW, SUBPROTOCOL, Limits
from protocol.receipt import Receipt
from tests.patience import PATIENCE
from tests.settling import settle

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from typing import Self


@contextmanager
def silent_address() -> Iterator[str]:
    """The URL of a listener that never answers: the kernel accepts, and nobody reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"


@dataclass(eq=False)
class Exchange:
    """One exchange as the gateway sees it.

    `log` holds the frames that came, in order; `chunks` the DATA payloads that were new.
    """

    envelope: Envelope
    stream: GatewayStream
    gateway: Gateway
    reading: bool = True
    reject: Callable[[Attach], Reject | None] = lambda _: None
    swallow_end: bool = False
    log: list[Frame] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    upload: bytes = b""
    upload_whole: bool = True
    upload_ended: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def head(self) -> Head:
        return next(frame for frame in self.log if isinstance(frame, Head))

    @property
    def resets(self) -> list[Reset]:
        return [frame for frame in self.log if isinstance(frame, Reset)]

    def headers(self, name: str) -> list[str]:
        return [v.decode() for n, v in self.head.headers if n == name.encode()]

    def cancel(self, code: CancelCode = CancelCode.CLIENT_GONE) -> None:
        self.gateway.call(lambda: self.stream.cancel(code, "the client left"))

    def take_everything(self) -> None:
        """Let the client read on."""

        def take() -> None:
            self.reading = True
            self.stream.consumed(len(self.body) - self._taken)
            self._taken = len(self.body)

        self.gateway.call(take)

    _taken: int = 0

    def taken(self, data: bytes) -> None:
        self.chunks.append(data)
        if self.reading:
            self.stream.consumed(len(data))
            self._taken += len(data)


class Gateway:
    """Serves `/v1/attach`; counts what it saw."""

    def __init__(self) -> None:
        self.exchanges: dict[bytes, Exchange] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.requests: list[web.BaseRequest] = []
        self.frames: list[Frame] = []
        self.deaf = False
        self.mute = False
        self.tls: ssl.SSLContext | None = None
        self.limits = Limits()
        self.refuse: Callable[[web.BaseRequest], web.Response | None] = lambda _: None
        self._pumps: list[_Pump] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._inv = itertools.count(1)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def _finish(self) -> None:
        await self._accept_no_more()
        await self._site.stop()
        await settle()
        server = self._runner.server
        assert server is not None
        for connection in server.connections:
            if connection.transport is not None:
                connection.transport.abort()  # a peer that reads nothing would keep it open
        await settle()
        await self._abort()
        await self._runner.cleanup()
        await settle()

    async def _accept_no_more(self) -> None:
        """A listener that closes with a connection half accepted leaves it open (asyncio in 3.11)."""
        server = self._site._server
        assert isinstance(server, asyncio.Server)
        for listener in server.sockets:
            self._loop.remove_reader(listener.fileno())
        await settle()

    # ------------------------------------------------------------ what tests ask for

    @property
    def url(self) -> str:
        return f"{'ws' if self.tls is None else 'wss'}://localhost:{self.port}"

    @property
    def parked(self) -> int:
        """How many connections wait for another exchange."""
        return sum(pump.parked for pump in self._pumps)

    def exchange(
        self, *, window: int = INITIAL_WINDOW, upload: bytes | None = None, **changes: Any
    ) -> Exchange:
        xid = os.urandom(16)
        envelope = Envelope(
            xid=xid.hex(),
            inv=1,
            urls=changes.pop("urls", (self.url,)),
            token=f"token-{xid.hex()}",
            window=window,
            max_frame=changes.pop("max_frame", self.limits.max_frame),
            body="inline" if upload is None else "stream",
            body_length=changes.pop("body_length", None),
        )
        stream = GatewayStream(
            xid, window=window, limits=self.limits, upload=upload is not None, check_length=True
        )
        exchange = Exchange(envelope, stream, self, upload=upload or b"", **changes)
        self.exchanges[xid] = exchange
        return exchange

    def call(self, action: Callable[[], object]) -> None:
        """Run on the gateway's loop, then let every connection send what it has."""

        async def run() -> None:
            action()
            for pump in [*self._pumps]:
                await pump.write()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def cut(self, first: Callable[[], object] = lambda: None) -> None:
        """Break every connection without a goodbye; whatever is done `first`, nothing is said after it."""

        asyncio.run_coroutine_threadsafe(self._abort(first), self._loop).result(PATIENCE)

    async def _abort(self, first: Callable[[], object] = lambda: None) -> None:
        first()
        cut = [*self.requests]  # who dials meanwhile is not waited for
        for request in cut:
            if request.transport is not None:
                request.transport.abort()
        while any(request.transport is not None for request in cut):
            await asyncio.sleep(0)

    def close(self, code: int) -> None:
        """Close the newest connection with a code."""
        closing = self.sockets[-1].close(code=code)
        asyncio.run_coroutine_threadsafe(closing, self._loop).result(PATIENCE)

    def say_raw(self, *pieces: bytes, heard: Callable[[], object] = lambda: None) -> None:
        """Write bytes below the WebSocket layer, on the newest connection, and nothing else between them.

        Args:
            pieces: what is written.
            heard: called after each.
        """

        def write() -> None:
            assert self.requests[-1].transport is not None
            for piece in pieces:
                self.requests[-1].transport.write(piece)
                heard()

        self.call(write)

    def say(self, message: bytes | str) -> None:
        """Send a message of the test's own on the newest connection."""
        socket = self.sockets[-1]
        sent = socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message)
        asyncio.run_coroutine_threadsafe(sent, self._loop).result(PATIENCE)

    # ------------------------------------------------------------ the server

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        refusal = self.refuse(request)
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), compress=True, timeout=0.1, max_msg_size=1 << 20
        )
        try:
            await socket.prepare(request)
        except ConnectionResetError:  # whoever dialled has left by now: nobody's error
            return web.Response()
        self.sockets.append(socket)
        pump = _Pump(self, socket)
        self._pumps.append(pump)
        try:
            await pump.run()
        finally:
            self._pumps.remove(pump)
        return socket


class _Pump:
    def __init__(self, gateway: Gateway, socket: web.WebSocketResponse) -> None:
        self._gateway = gateway
        self._socket = socket
        self._connection = GatewayConnection(gateway.limits, time.monotonic())
        self._exchange: Exchange | None = None
        self._sid = 0
        self._answers: list[Frame] = []
        self.parked = False

    async def run(self) -> None:
        async for message in self._socket:
            assert message.type is WSMsgType.BINARY
            if self._gateway.deaf:
                continue
            try:
                self._take(message.data)
            except ProtocolError as error:
                await self._socket.close(code=int(error.close_code))
                break
            await self.write()
        if self._exchange is not None:
            self._exchange.stream.detach(self)

    def _take(self, data: bytes) -> None:
        now = time.monotonic()
        frame = decode(data)
        assert frame is not None
        self._gateway.frames.append(frame)
        wanted = self._connection.receive(frame, now)
        if isinstance(wanted, Attach):
            self._attach(wanted, now)
        elif isinstance(wanted, Park):
            self.parked = True
        elif wanted is not None and self._exchange is not None:
            self._exchange.log.append(wanted)
            record = self._exchange.stream.receive(self, wanted, now)
            if isinstance(record, Data):
                self._exchange.taken(record.data)

    def _attach(self, frame: Attach, now: float) -> None:
        exchange = self._gateway.exchanges[frame.xid]
        exchange.log.append(frame)
        assert frame.token == exchange.envelope.token
        answer = exchange.reject(frame) or exchange.stream.attach(frame, self, now)
        if isinstance(answer, Attached):
            self._connection.accept(frame.sid, now)
            self._exchange, self._sid = exchange, frame.sid
            self._answers.append(answer)
        else:
            self._connection.refuse(answer, now)
        self.parked = self._exchange is None

    async def write(self) -> None:
        now = time.monotonic()
        frames = [*self._connection.frames_to_send(now), *self._answers]
        self._answers.clear()
        exchange = self._exchange
        if exchange is not None:
            self._feed(exchange)
            frames += exchange.stream.frames_to_send(now)
            if exchange.swallow_end:
                frames = [frame for frame in frames if not isinstance(frame, EndAck)]
            if exchange.stream.over:
                self._connection.release(self._sid, now)
                exchange.stream.detach(self)
                self._exchange = None
                self.parked = True
        if self._gateway.mute:
            return
        with suppress(ConnectionResetError):  # it came before the cut: nobody's error
            for frame in frames:
                await self._socket.send_bytes(encode(frame))

    def _feed(self, exchange: Exchange) -> None:
        if exchange.envelope.body != "stream" or exchange.upload_ended:
            return
        accepted = exchange.stream.upload(exchange.upload)
        exchange.upload = exchange.upload[accepted:]
        if not exchange.upload and exchange.upload_whole:
            exchange.stream.finish_upload()
            exchange.upload_ended = True


# ---------------------------------------------------------------- what Lambda passes


def event(exchange: Exchange | None = None, **changes: Any) -> dict[str, Any]:
    """A payload 2.0 event."""
    request_id = "0" * 32 if exchange is None else exchange.envelope.xid
    return {
        "version": "2.0",
        "rawPath": "/",
        "headers": {},
        "requestContext": {"requestId": request_id, "http": {"method": "GET", "path": "/"}},
        "isBase64Encoded": False,
        **changes,
    }


def context(exchange: Exchange | None = None, *, seconds: float = 60.0) -> Any:
    """A Lambda context; with an exchange, its envelope is in the client context."""
    custom = None if exchange is None else {"dialback": exchange.envelope.to_json()}
    ends = time.monotonic() + seconds
    return SimpleNamespace(
        client_context=SimpleNamespace(custom=custom, env=None),
        get_remaining_time_in_millis=lambda: int(max(0.0, ends - time.monotonic()) * 1000),
    )


def receipt_of(returned: Any) -> Receipt:
    """The receipt that a handler returned."""
    receipt = Receipt.parse(returned)
    assert receipt is not None, returned
    return receipt


def eventually(probe: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Poll until `probe` is true.

    Raises:
        AssertionError: it stayed false.
    """
    until = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.005)
