"""How many connections a stranger can hold open, on each listener, and how long."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from gateway import crowds
from gateway.admin import server as admin_server
from gateway.admin.server import few, runner_of
from gateway.callback.server import LINGER_SECONDS, CallbackServer
from gateway.crowds import Crowd
from gateway.edge import server as edge_server
from gateway.tls import handshakes
from protocol.limits import ATTACH_PATH
from tests.gateway.callback.door import door
from tests.gateway.edge.serving import Client, connect, edge, get, over_tls, sized
from tests.gateway.exchange.asking import eventually
from tests.gateway.listeners.guests import KEPT, Silent, answered
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.gateway.callback.door import Door


@pytest.fixture(autouse=True)
def young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has been silent for long, unless a test says so: not even on a machine that stalls."""
    monkeypatch.setattr(crowds, "SILENT_SECONDS", PATIENCE)


# ---------------------------------------------------------------- the edge


async def test_more_connections_than_there_may_be_are_reset_until_some_leave(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crowd = Crowd("edge", 2)
    async with edge(sized(b"ok"), crowd=crowd) as it:
        async with Client(it.port) as one, Client(it.port) as other:
            assert await answered(one) and await answered(other)
            for _ in range(3):
                async with Client(it.port) as third:
                    assert not await answered(third)
            assert await answered(one)
            assert len(crowd) == 2
        await eventually(lambda: len(crowd) == 0)
        async with Client(it.port) as later:
            assert await answered(later)
    assert caplog.text.count("edge listener: 2 connections are open; more are refused") == 1


@pytest.mark.parametrize("trusted", [False, True])
async def test_one_address_has_its_share_and_a_trusted_proxy_any(*, trusted: bool) -> None:
    crowd = Crowd("edge", 100, 1, lambda address: trusted and address == "127.0.0.1")
    async with edge(sized(b"ok"), crowd=crowd) as it, Client(it.port) as one:
        assert await answered(one)
        async with Client(it.port) as other:
            assert await answered(other) is trusted
        await eventually(lambda: len(crowd) == 1)
    await settle()
    assert crowd._by_address == {}


@pytest.mark.fault(32)
@pytest.mark.parametrize("says", [b"", KEPT[:-1]], ids=["nothing", "no whole head"])
async def test_who_sends_no_request_keeps_nobody_out(
    says: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    crowd = Crowd("edge", 3)
    async with edge(sized(b"ok"), crowd=crowd) as it, Client(it.port) as known:
        assert await answered(known)
        with Silent(it.port, crowd, says) as silent:
            await silent.come(2)
            async with Client(it.port) as one:
                assert await answered(one)
                assert await silent.cut() == [True, False]
                async with Client(it.port) as other:
                    assert await answered(other)
                    async with Client(
                        it.port
                    ) as late:  # all that are here have asked for something
                        assert not await answered(late)
                    assert await answered(known) and await answered(one)
    assert caplog.text.count("3 connections are open; those that were silent for longest go") == 1


@pytest.mark.fault(32)
async def test_a_head_that_dribbles_on_a_kept_connection_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(edge_server, "KEEP_ALIVE_SECONDS", 0.3)
    async with edge(sized(b"ok")) as it, Client(it.port) as client:
        assert await answered(client)
        ended = asyncio.create_task(client.rest())
        for byte in KEPT[:-1] * 100:  # never the last one
            if ended.done():
                break
            client.send(bytes([byte]))
            await asyncio.sleep(0.01)
        with suppress(ConnectionResetError):  # its next byte met the closed connection
            assert await ended == b""
        assert len(it.driver.requests) == 1


# ---------------------------------------------------------------- callback and admin


async def ok(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"ok")


@asynccontextmanager
async def serving(factory: Any) -> AsyncIterator[int]:
    listener = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    try:
        port: int = listener.sockets[0].getsockname()[1]
        yield port
    finally:
        listener.close()
        await settle()


@pytest.mark.steered
async def test_the_callback_listener_is_left_by_who_says_nothing() -> None:
    server = CallbackServer(ok, exchanges=10, patience=20.0)
    async with serving(server) as port:
        for sent in (b"", b"GET /v1/att", KEPT):  # KEPT: an idle connection, answered before
            async with Client(port) as client:
                client.send(sent)
                if sent == KEPT:
                    await client.until(b"ok")
                await eventually(lambda: len(server.crowd) == 1)
                await pass_time(21.0)  # aiohttp's timers are due at whole seconds
                assert await client.rest() == b""
            await eventually(lambda: len(server.crowd) == 0)
        await server.shutdown(1.0)


async def let_in(it: Door, client: Client) -> bool:
    """Whether a function is upgraded on this connection, not reset."""
    client.send(it.knock())
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        return (await client.head()).startswith(b"HTTP/1.1 101 ")
    return False


@pytest.fixture
def two_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the callback of a gateway for one exchange."""
    monkeypatch.setattr("gateway.callback.server.PARKED_MAX", 0)
    monkeypatch.setattr("gateway.callback.server.UNATTACHED_MAX", 0)


async def test_the_callback_listener_holds_so_many_and_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.callback.server.PARKED_MAX", 1)
    monkeypatch.setattr("gateway.callback.server.UNATTACHED_MAX", 1)
    async with door(exchanges=1) as it:
        clients = [Client(it.port) for _ in range(5)]
        assert [await let_in(it, await one.__aenter__()) for one in clients] == [True] * 4 + [False]
        for one in clients:
            await one.__aexit__()
        await eventually(lambda: len(it.server.crowd) == 0)
    gc.collect()  # else the error of a task that nobody waits for might be told later
    assert [line.getMessage() for line in caplog.records if line.levelname == "ERROR"] == []


@pytest.mark.usefixtures("two_places")
async def test_who_sends_no_request_keeps_no_function_out() -> None:
    async with door(exchanges=1) as it:
        with Silent(it.port, it.server.crowd) as silent:
            await silent.come(2)
            async with Client(it.port) as one:
                assert await let_in(it, one)
                assert await silent.cut() == [True, False]
                async with Client(it.port) as other, Client(it.port) as late:
                    assert not await let_in(it, other)  # who had yet to ask when another one came
                    assert await let_in(it, late)
                    await settle()
                    assert not one.reader.at_eof()


@pytest.mark.usefixtures("two_places")
@pytest.mark.parametrize(("path", "status"), [(ATTACH_PATH, b" 401 "), ("/", b" 404 ")])
async def test_who_is_refused_keeps_no_function_out(path: str, status: bytes) -> None:
    async with door(exchanges=1) as it, Client(it.port) as first, Client(it.port) as second:
        for client in (first, second, first):
            stranger = it.knock().replace(b"Bearer ", b"Bearer x")
            client.send(stranger.replace(ATTACH_PATH.encode(), path.encode()))
            assert status in await client.head()
            await client.until(b"}")
        async with Client(it.port) as one:
            assert await let_in(it, one) and await first.rest() == b""
            async with Client(it.port) as other:
                assert await let_in(it, other) and await second.rest() == b""
                async with Client(it.port) as late:
                    assert not await let_in(it, late)


@pytest.mark.steered
async def test_a_large_body_at_the_callback_is_not_read_for_long() -> None:
    server = CallbackServer(ok, exchanges=10, patience=PATIENCE)
    async with serving(server) as port, Client(port) as client:
        client.send(get("/", f"Content-Length: {2**40}", "Connection: keep-alive", method="POST"))
        await client.until(b"ok")
        await pass_time(LINGER_SECONDS)
        await settle()
        assert not server.connections
        await server.shutdown(1.0)


@pytest.mark.steered
async def test_the_admin_listener_holds_few_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin_server, "CONNECTIONS_MAX", 2)
    application = web.Application()
    application.router.add_get("/", ok)
    runner = runner_of(application)
    await runner.setup()
    assert runner.server is not None
    async with serving(few(runner.server)) as port:
        async with Client(port) as one, Client(port) as other:
            assert await answered(one) and await answered(other)
            async with Client(port) as third:
                assert not await answered(third)
            await pass_time(admin_server.IDLE_SECONDS + 1)
            assert await one.rest() == b""
        await runner.cleanup()


async def test_who_asks_nothing_keeps_no_probe_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_server, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(crowds, "LOOK_SECONDS", 0.0)
    application = web.Application()
    application.router.add_get("/", ok)
    runner = runner_of(application)
    await runner.setup()
    server = runner.server
    assert server is not None
    async with serving(few(server)) as port, Client(port) as silent:
        await eventually(lambda: len(server.connections) == 1)
        async with Client(port) as idle:
            assert await answered(idle)
            async with Client(port) as probe:
                assert await answered(probe)
                assert await silent.rest() == b""
                monkeypatch.setattr(crowds, "SILENT_SECONDS", -1.0)  # nor does it matter how lately
                async with Client(port) as other:
                    assert await answered(other)
        await runner.cleanup()


# ---------------------------------------------------------------- TLS


@pytest.fixture
def tls() -> Iterator[None]:
    token = over_tls.set(True)
    yield
    over_tls.reset(token)


@pytest.mark.usefixtures("tls")
@pytest.mark.parametrize(
    ("room", "told"),
    [
        ("handshakes", "TLS handshakes are under way; the oldest go"),
        ("connections", "connections are open; those that were silent for longest go"),
    ],
)
async def test_silent_handshakes_keep_nobody_out(
    room: str, told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if room == "handshakes":
        monkeypatch.setattr(handshakes, "HANDSHAKES_MAX", 3)
    crowd = Crowd("edge", 3 if room == "connections" else 100)
    async with edge(sized(b"ok"), crowd=crowd) as it:
        with Silent(it.port, crowd) as silent:
            await silent.come(3)
            async with Client(it.port) as one, Client(it.port) as other:
                assert await answered(one) and await answered(other)
                cut = await silent.cut()
                # Who has shaken hands holds a connection, and no handshake.
                assert cut == [True, room == "connections", False]
        await eventually(lambda: len(crowd) == 0)
    assert caplog.text.count(f"edge listener: 3 {told}") == 1


@pytest.mark.usefixtures("tls")
async def test_who_has_shaken_hands_does_not_give_way() -> None:
    crowd = Crowd("edge", 1)
    async with edge(sized(b"ok"), crowd=crowd) as it, Client(it.port) as one:
        assert await answered(one)
        with pytest.raises(OSError, match=r"(?i)reset|EOF|closed|lost"):
            await asyncio.to_thread(connect, it.port)
        assert await answered(one)


@pytest.mark.usefixtures("tls")
async def test_an_address_has_its_share_of_handshakes_too() -> None:
    crowd = Crowd("edge", 100, 2)
    async with edge(sized(b"ok"), crowd=crowd) as it:
        async with Client(it.port) as one:
            assert await answered(one)
            with Silent(it.port, crowd) as silent:
                await silent.come(1)
                with pytest.raises(OSError, match=r"(?i)reset|EOF|closed|lost"):
                    await asyncio.to_thread(connect, it.port)
                assert await silent.cut() == [False]
            await eventually(lambda: len(crowd) == 1)
            async with Client(it.port) as other:
                assert await answered(other)
        await eventually(lambda: len(crowd) == 0)
    assert crowd._by_address == {}


# ---------------------------------------------------------------- what they repeat


async def test_neither_log_nor_answer_quotes_what_cannot_be_parsed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    application = web.Application()
    runner = runner_of(application)
    await runner.setup()
    assert runner.server is not None
    callback = CallbackServer(ok, exchanges=10, patience=PATIENCE)
    for factory in (callback, few(runner.server)):
        async with serving(factory) as port:
            for request in (
                b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer secret\r\n\r\n",
                b"GET /secret HTTP/7\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n",
            ):
                async with Client(port) as client:
                    client.send(request)
                    assert b"secret" not in await client.rest()
    await callback.shutdown(1.0)
    await runner.cleanup()
    assert "secret" not in caplog.text
    assert caplog.text.count("request refused: ") >= 4


async def test_a_bug_is_a_500_that_tells_nothing_but_its_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(request: web.BaseRequest) -> web.StreamResponse:
        raise RuntimeError("what went wrong")

    server = CallbackServer(fails, exchanges=10, patience=PATIENCE)
    async with serving(server) as port, Client(port) as client:
        client.send(KEPT)
        answer = await client.rest()
        await server.shutdown(1.0)
    assert answer.startswith(b"HTTP/1.1 500 ") and b"wrong" not in answer
    assert "what went wrong" in caplog.text
