"""What one invocation must not leave to the next, or to the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from typing_extensions import override

from lambda_client import (
    StreamClosed,
    connection,
    loop,
    pump,
    streamify_response,
    streaming,
)
from lambda_client.invocation import read_invocation
from lambda_client.running import running_session
from lambda_client.session import Session
from lambda_client.transport import TcpTransport
from protocol.codec import encode
from protocol.errors import CancelCode, ResetCode
from protocol.frames import Attach, Cancel, EndAck
from protocol.function_stream import FunctionStream
from protocol.limits import Limits
from tests.lambda_client.gateway import Gateway, context, event, eventually, silent_address
from tests.lambda_client.handlers import attached, call, warm
from tests.lambda_client.test_endings import CHUNK
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.receipt import Receipt
    from tests.lambda_client.conftest import Hurry

pytestmark = pytest.mark.usefixtures("parting")


def current() -> Session:
    running = running_session()
    assert running is not None
    return running


@pytest.fixture
def fresh_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The I/O thread of a cold start: no dial of an earlier test is under way."""
    monkeypatch.setattr(loop, "_thread", None)


def collected(ref: weakref.ref[FunctionStream]) -> bool:
    gc.collect()  # it also finds what the gateways of earlier tests left: hence the ignored warnings
    return ref() is None


def test_a_thread_that_writes_after_the_handler_failed_is_told(gateway: Gateway) -> None:
    failed, told = threading.Event(), threading.Event()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        def late() -> None:
            failed.wait()
            try:
                stream.write(CHUNK)
            except StreamClosed:
                told.set()

        stream.write(CHUNK)
        threading.Thread(target=late, daemon=True).start()
        raise ValueError("early")

    with pytest.raises(ValueError, match="early"):
        call(handler, gateway.exchange())
    failed.set()
    assert told.wait(PATIENCE)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_went_into_a_receipt_is_not_kept_until_the_deadline(
    gateway: Gateway, fresh_thread: None
) -> None:
    gateway.refuse = lambda _: web.Response(status=404)
    streams: list[weakref.ref[FunctionStream]] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        streams.append(weakref.ref(current().stream))
        yield b"x" * 70_000

    assert call(handler, gateway.exchange()).tail is not None
    eventually(lambda: collected(streams[0]))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_inline_answer_is_not_kept_until_the_deadline(
    gateway: Gateway, fresh_thread: None
) -> None:
    streams: list[weakref.ref[FunctionStream]] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        streams.append(weakref.ref(current().stream))
        yield CHUNK

    with silent_address() as url:
        exchange = gateway.exchange(urls=(url,))
        handler(event(exchange), context(exchange))
    warm(gateway)  # its own dial forgets the one before
    eventually(lambda: collected(streams[0]))


def test_a_receipt_is_a_picture_of_one_moment(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FunctionStream.receipt
    locked: list[bool] = []

    def receipt(self: FunctionStream, dial: str | None = None) -> Receipt:
        locked.append(sessions[0].lock.locked())
        return original(self, dial)

    sessions: list[Session] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        sessions.append(current())
        yield b"x" * 70_000

    monkeypatch.setattr(FunctionStream, "receipt", receipt)
    call(handler, gateway.exchange())
    assert locked == [True]


def test_a_cancel_after_the_end_changes_no_receipt(gateway: Gateway, hurry: Hurry) -> None:
    hurry(cancel_grace=0.0)
    exchange = gateway.exchange(swallow_end=True)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        attached(exchange)
        yield CHUNK

    def cancel() -> None:
        eventually(lambda: exchange.stream.ended)
        attach = exchange.log[0]
        assert isinstance(attach, Attach)
        gateway.say(encode(Cancel(attach.sid, CancelCode.CLIENT_GONE, "late")))
        gateway.say(encode(EndAck(attach.sid, len(CHUNK))))

    thread = threading.Thread(target=cancel)
    thread.start()
    assert call(handler, exchange).status == "end"
    thread.join()


def test_a_parked_connection_that_closes_while_it_is_looked_at(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the connection is seen just before the user's thread asks."""
    original = TcpTransport.readable

    def readable(self: TcpTransport) -> bool:
        gateway.cut()
        eventually(lambda: self._sock.fileno() < 0)
        return original(self)

    warm(gateway)
    monkeypatch.setattr(TcpTransport, "readable", readable)
    handler = streaming(lambda e, c: {"statusCode": 200, "body": "x" * 70_000})
    assert call(handler, gateway.exchange()).status == "end"
    assert len(gateway.requests) == 2


def pause(gateway: Gateway) -> None:
    """The gateway's machine takes no bytes any more."""
    transport = gateway.requests[-1].transport
    assert isinstance(transport, asyncio.Transport)
    gateway.call(transport.pause_reading)


def test_a_dead_peer_keeps_no_socket(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.05)
    gateway.limits = Limits(ping_ms=100, dead_ms=100)
    exchange = gateway.exchange(window=32 << 20)
    gone: list[BaseException | None] = []
    lost = connection.Connection.connection_lost

    def connection_lost(self: connection.Connection, exc: Exception | None) -> None:
        gone.append(exc)
        lost(self, exc)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        pause(gateway)
        yield bytes(24 << 20)

    monkeypatch.setattr(connection.Connection, "connection_lost", connection_lost)
    assert call(handler, exchange).status == "end"
    eventually(lambda: gone)
    assert len(exchange.body) == len(CHUNK) + (24 << 20)


def test_credit_that_waits_for_a_full_transport_sets_no_timer(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = gateway.exchange(window=32 << 20, upload=bytes(100_000), upload_whole=False)
    timers: list[None] = []
    original = pump.Pump._on_tick

    def on_timer(self: pump.Pump) -> None:
        timers.append(None)
        original(self)

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        pause(gateway)
        current().upload.read()
        yield bytes(24 << 20)
        with pytest.raises(AssertionError):
            eventually(lambda: len(timers) > 10, 0.5)
        gateway.cut()

    monkeypatch.setattr(pump.Pump, "_on_tick", on_timer)
    call(handler, exchange)


def test_frames_may_be_as_large_as_the_gateway_says(gateway: Gateway) -> None:
    gateway.limits = Limits(max_frame=1 << 20)
    exchange = gateway.exchange(upload=bytes(250_000))
    handler = streaming(lambda e, c: {"body": str(len(current().upload.read())), "statusCode": 200})
    assert call(handler, exchange).status == "end"
    assert exchange.body == b"250000"


def test_a_huge_write_is_not_copied_for_every_credit(gateway: Gateway) -> None:
    copied: list[int] = []

    class Counted(bytes):
        @override
        def __getitem__(self, key: Any) -> Any:
            part = Counted(bytes.__getitem__(self, key))
            copied.append(len(part))
            return part

    data = Counted(bytes(4 << 20))
    exchange = gateway.exchange(window=65_536)
    call(streaming(lambda e, c: iter([data])), exchange)
    assert exchange.body == data
    assert sum(copied) <= len(data)


def test_a_response_that_broke_off_before_the_io_began_it_leaves_no_alarm(gateway: Gateway) -> None:
    """What is sent first on the parked connection is then its RESET, and the exchange is over at once."""
    warm(gateway)
    io, done = loop.io_thread(), threading.Event()
    exchange = gateway.exchange()
    invocation = read_invocation(event(exchange), context(exchange), now=time.monotonic())
    session = Session(invocation, exchange.envelope)

    def begin() -> None:  # a job, so that no other one comes between
        session.open()
        session.break_off(ResetCode.HANDLER_ERROR, "it raised")

    before = set(io.ticker.clocks)
    io.submit(begin)
    eventually(lambda: session.settled)
    io.submit(done.set)
    assert done.wait(PATIENCE)
    eventually(lambda: exchange.resets)
    assert not [clock.alarms for clock in io.ticker.clocks.keys() - before]
