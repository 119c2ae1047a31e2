"""``on_disconnect = "continue"``: a client that leaves does not stop its function."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from gateway.timing import Timing
from protocol.errors import CancelCode, ResetCode
from protocol.limits import INITIAL_WINDOW, MAX_WINDOW
from tests.gateway.exchange.asking import eventually
from tests.gateway.exchange.peer import GatewayUnderTest, Peer, gateway, inline
from tests.gateway.exchange.test_access_line import access_line
from tests.gateway.exchange.test_hard_cases import connect, leave
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.exchange.peer import Behaviour

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
MUCH = bytes(3 * MAX_WINDOW)
"""More than a function can send to a gateway that acknowledges nothing."""


@asynccontextmanager
async def going_on(behaviour: Behaviour, **more: Any) -> AsyncIterator[GatewayUnderTest]:
    """A gateway whose route never times out by itself within a test, unless told so."""
    settings: dict[str, Any] = {"timeout": 2 * PATIENCE, "on_disconnect": "continue"} | more
    async with (
        gateway(behaviour, **settings) as running,
        asyncio.timeout(PATIENCE),
    ):
        yield running


async def ask_and_leave(running: GatewayUnderTest, until: asyncio.Event) -> None:
    """Send a request, and be gone once something has happened; the gateway knows it then."""
    _, writer = await connect(running, GET)
    await until.wait()
    await leave(writer)
    await eventually(lambda: running.driver.exchanges()[0].client_left)


def stopped(ready: asyncio.Event, codes: list[int]) -> Behaviour:
    """A function that writes nothing, and notes with which code it was told to stop."""

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        ready.set()
        codes.append(await peer.cancelled())
        return peer.receipt()

    return function


@pytest.mark.parametrize("begun", [True, False], ids=["in mid-stream", "before the head"])
async def test_the_function_writes_on_to_its_end(
    begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        if begun:
            await peer.start()
            await peer.write(b"hello")
        ready.set()
        await left.wait()
        if not begun:
            await peer.start()
        await peer.write(MUCH)
        receipts.append(await peer.end())
        return receipts[0]

    ready, left, receipts = asyncio.Event(), asyncio.Event(), list[Any]()
    caplog.set_level("INFO", "dialback.access")
    async with going_on(function) as running:
        await ask_and_leave(running, ready)
        (exchange,) = running.driver.exchanges()
        assert exchange.state.value == "streaming"
        left.set()
        await eventually(lambda: running.states == ["cancelled"])
        await eventually(lambda: receipts)
        numbers = running.telemetry.route("/")
        await eventually(lambda: numbers.invokes)
    assert receipts[0]["dialback"]["final"] == len(MUCH) + 5 * begun
    assert (numbers.outcomes, numbers.cancels) == ({("cancelled", "client_gone"): 1}, {})
    assert exchange.body_bytes == 5 * begun, "what nobody got is not counted as sent"
    line = access_line(caplog)
    assert (line["outcome"], "note" in line) == ("cancelled", False)
    assert running.store.budget.held == 0


async def test_what_a_client_left_lying_is_acknowledged_too() -> None:
    """It had stopped reading, so that a whole window was neither taken nor free."""

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        await peer.start()
        try:
            async with asyncio.timeout(0.5):
                while True:
                    await peer.write(bytes(INITIAL_WINDOW))
        except TimeoutError:
            full.set()
        await left.wait()
        await peer.until(lambda: peer.stream.room > 0)
        peer.stream.end()
        await peer.flush()
        await peer.until(lambda: peer.stream.end_acknowledged)
        done.set()
        return peer.receipt()

    full, left, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with going_on(function) as running:
        await ask_and_leave(running, full)
        await eventually(lambda: running.store.budget.held == 0)
        left.set()
        await done.wait()
        await eventually(lambda: running.states == ["cancelled"])


async def test_a_client_that_takes_nothing_is_cut_off_and_the_function_goes_on() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        await peer.start()
        for _ in range(8):
            await peer.write(MUCH)
        return await peer.end()

    async with going_on(function, timing=Timing(write_stall=0.2)) as running:
        reader, writer = await connect(running, GET)
        await eventually(lambda: running.states == ["failed"])
        numbers = running.telemetry.route("/")
        await eventually(lambda: numbers.invokes == {"receipt": 1})
        assert numbers.cancels == {}
        with pytest.raises(ConnectionResetError):
            while await reader.read(1 << 20):
                pass
        await leave(writer)


async def test_a_cut_after_the_client_left_is_resumed() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.attached()
        ready.set()
        await left.wait()
        await peer.cut()
        await peer.dial()
        await peer.attached()
        await peer.write(MUCH)
        return await peer.end()

    ready, left = asyncio.Event(), asyncio.Event()
    async with going_on(function) as running:
        await ask_and_leave(running, ready)
        left.set()
        await eventually(lambda: running.states == ["cancelled"])
        assert running.driver.exchanges()[0].attaches == 2


@pytest.mark.parametrize("how", ["answer", "inline receipt"])
async def test_an_answer_by_the_invoke_ends_it(how: str) -> None:
    async def function(peer: Peer) -> Any:
        ready.set()
        await left.wait()
        return {"statusCode": 200, "body": "x"} if how == "answer" else inline(peer, 200, b"x")

    ready, left = asyncio.Event(), asyncio.Event()
    async with going_on(function) as running:
        await ask_and_leave(running, ready)
        left.set()
        await eventually(lambda: running.states == ["cancelled"])


async def test_a_function_that_fails_without_its_client_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        ready.set()
        await left.wait()
        peer.stream.reset(ResetCode.HANDLER_ERROR, "it raised")
        await peer.flush()
        return peer.receipt()

    ready, left = asyncio.Event(), asyncio.Event()
    caplog.set_level("INFO", "dialback.access")
    async with going_on(function) as running:
        await ask_and_leave(running, ready)
        left.set()
        await eventually(lambda: caplog.records)
        assert running.states == ["cancelled"]
    line = access_line(caplog)
    assert line["outcome"] == "cancelled"
    assert line["note"] == "FunctionFailed: the stream was reset (handler_error): it raised"


@pytest.mark.steered
async def test_it_ends_with_the_routes_timeout() -> None:
    ready, codes = asyncio.Event(), list[int]()
    function = stopped(ready, codes)
    async with going_on(function, timeout=PATIENCE / 2) as running:
        await ask_and_leave(running, ready)
        await pass_time(PATIENCE / 2)
        await eventually(lambda: codes == [CancelCode.TIMEOUT])
        assert running.states == ["cancelled"]
        assert running.telemetry.route("/").cancels == {"route_timeout": 1}


async def test_a_drain_waits_for_it_and_then_cuts_it() -> None:
    ready, codes = asyncio.Event(), list[int]()
    function = stopped(ready, codes)
    async with going_on(function) as running:
        await ask_and_leave(running, ready)
        running.handler.drain()
        running.driver.refuse()
        assert running.handler._open
        assert running.driver.cut()
        await running.handler.idle()
        await eventually(lambda: codes == [CancelCode.DRAINING])
        assert running.states == ["cancelled"]


@pytest.mark.parametrize("leaves", [True, False], ids=["without its client", "with its client"])
@pytest.mark.parametrize("begun", [True, False], ids=["in mid-stream", "before the head"])
async def test_an_abort_of_the_gateway_ends_it_at_once(
    leaves: bool, begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        if begun:
            await peer.start()
        await peer.attached()
        ready.set()
        await peer.cancelled()
        return peer.receipt()

    caplog.set_level("INFO", "dialback.access")
    ready = asyncio.Event()
    async with going_on(function) as running:
        _, writer = await connect(running, GET)
        await ready.wait()
        if leaves:
            await leave(writer)
            await eventually(lambda: running.driver.exchanges()[0].client_left)
        running.handler.abort()
        await running.handler.idle()
        assert running.states == ["cancelled"]
        await leave(writer)
    line = access_line(caplog)
    ours = not leaves and begun  # a refusal was sent whole, or the stream was broken off
    assert line["outcome"] == ("failed" if ours else "completed" if not leaves else "cancelled")
    assert line["status"] == (200 if begun else None if leaves else 503)


async def test_a_client_that_waits_for_a_place_and_leaves_starts_nothing() -> None:
    async def function(peer: Peer) -> Any:
        ready.set()
        await release.wait()
        return {"statusCode": 200}

    ready, release = asyncio.Event(), asyncio.Event()
    async with going_on(function, concurrency=1) as running:
        _, first = await connect(running, GET)
        await ready.wait()
        _, second = await connect(running, GET)
        await eventually(lambda: running.telemetry.route("/").queue_depth == 1)
        await leave(second)
        await eventually(lambda: running.telemetry.route("/").queue_depth == 0)
        release.set()
        await eventually(lambda: sorted(running.states) == ["cancelled", "completed"])
        assert running.invoker.invocations == 1
        await leave(first)


async def test_half_an_upload_stops_the_function_all_the_same() -> None:
    """What it was called with can never be complete."""

    ready, codes = asyncio.Event(), list[int]()
    function = stopped(ready, codes)
    async with going_on(function, request_body="stream") as running:
        _, writer = await connect(
            running, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"
        )
        await ready.wait()
        await leave(writer)
        await eventually(lambda: codes == [CancelCode.CLIENT_GONE])


async def test_after_a_whole_upload_it_goes_on_and_nothing_of_the_client_is_kept() -> None:
    """The gateway watched for the client by a descriptor of its own, as the body was still to come."""

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        got = b""
        while not peer.stream.upload_ended or peer.stream.upload_waiting:
            got += b"".join(peer.stream.read())
            await peer.flush()
            await peer.receive()
        assert got + b"".join(peer.stream.read()) == b"half more"
        ready.set()
        await left.wait()
        await peer.start()
        await peer.write(MUCH)
        return await peer.end()

    ready, left = asyncio.Event(), asyncio.Event()
    async with going_on(function, request_body="stream") as running:
        _, writer = await connect(
            running, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf "
        )
        await eventually(lambda: running.states == ["streaming"])
        writer.write(b"more")
        await ready.wait()
        assert len(running.handler._hangups._transports) == 1
        await leave(writer)
        await eventually(lambda: running.driver.exchanges()[0].client_left)
        await eventually(lambda: not running.handler._hangups._transports)
        left.set()
        await eventually(lambda: running.telemetry.route("/").invokes == {"receipt": 1})
        assert running.telemetry.route("/").cancels == {}
