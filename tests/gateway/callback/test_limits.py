"""How many connections there may be, and what becomes of one that asks too much."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.callback import connections
from gateway.callback.websocket import WebSocket
from gateway.quiet_connection import UNFINISHED_MAX
from protocol.codec import encode
from protocol.errors import CloseCode
from protocol.frames import Attach, Park, Reset
from protocol.limits import MAX_REFUSAL_RATE, MAX_RESET_RATE
from tests.gateway.callback.door import door
from tests.gateway.edge.serving import Client
from tests.gateway.exchange.asking import eventually, get
from tests.gateway.exchange.peer import Peer, gateway
from tests.patience import PATIENCE
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.exchange.peer import GatewayUnderTest

    Flood = Callable[[Peer], Awaitable[None]]

BODY = bytes(range(256)) * 64


async def unattached(running: GatewayUnderTest, token: str, count: int) -> list[Any]:
    """Upgrade connections that never attach; what became of each."""
    session = aiohttp.ClientSession()
    dials = (
        session.ws_connect(
            f"ws://127.0.0.1:{running.callback_port}/v1/attach",
            protocols=["dialback.v1"],
            headers={"authorization": f"Bearer {token}"},
        )
        for _ in range(count)
    )
    results = await asyncio.gather(*dials, return_exceptions=True)
    return [session, *results]


async def test_a_head_that_does_not_end_is_refused_before_it_is_held() -> None:
    line = b"X: " + b"a" * 8_000 + b"\r\n"
    async with door() as it, Client(it.port) as client:
        client.send((b"GET / HTTP/1.1\r\n" + line * 17)[: UNFINISHED_MAX + 1])
        assert (await client.rest()).startswith(b"HTTP/1.0 400 ")


@pytest.mark.fault(58)
async def test_more_that_have_yet_to_attach_are_told_to_come_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "UNATTACHED_MAX", 20)
    hints: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.attached()
        session, *results = await unattached(running, peer.envelope.token, 40)
        sockets = [one for one in results if isinstance(one, aiohttp.ClientWebSocketResponse)]
        refused = [one for one in results if isinstance(one, aiohttp.WSServerHandshakeError)]
        assert (len(sockets), len(refused)) == (20, 20)
        assert {one.status for one in refused} == {503}
        hints.extend(int(one.headers["Retry-After"]) for one in refused if one.headers)
        await peer.write(BODY)  # who is attached is not concerned
        await peer.cut()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await peer.dial()
        for one in sockets:  # whoever parks, or leaves, makes room
            await one.send_bytes(encode(Park()))
        await eventually(lambda: running.connections.parked == 20)
        await peer.dial()
        await peer.attached()
        receipt = await peer.end()
        for one in sockets:
            await one.close()
        await session.close()
        return receipt

    async with gateway(function) as running:
        assert (await get(running.url))[1] == BODY
        await eventually(lambda: len(running.connections) == 0)
        assert running.telemetry.attaches["overloaded"] == 21
    assert set(hints) <= {1, 2, 3}
    assert len(set(hints)) > 1


async def test_of_too_many_that_are_parked_the_least_recent_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "PARKED_MAX", 2)
    codes: dict[int, int | None] = {}
    peers: list[Peer] = []

    async def function(peer: Peer) -> Any:
        number = len(peers)
        peers.append(peer)
        await peer.dial()
        await peer.start()
        receipt = await peer.end()
        codes[number] = await peer.closed()
        return receipt

    async with gateway(function) as running:
        for number in range(4):
            await get(running.url)
            parked = min(number + 1, 2)
            closed = number + 1 - parked
            now = running.connections
            await eventually(lambda: (now.parked, len(codes)) == (parked, closed))  # noqa: B023
        assert codes == {0: CloseCode.GOING_AWAY, 1: CloseCode.GOING_AWAY}
        assert running.connections.shed(10) == 2
        await eventually(lambda: len(codes) == 4)


@pytest.mark.fault(57)
async def test_a_flood_of_attaches_or_resets_ends_its_connection_and_no_other() -> None:
    codes: list[int | None] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        flooding = Peer(peer.invocation)
        for flood in (attaches, resets):
            await flooding.dial(attach=False)
            code, _ = await asyncio.gather(flooded(flooding, flood), peer.write(BODY))
            codes.append(code)
        await flooding.close()
        return await peer.end()

    async with gateway(function) as running:
        assert (await get(running.url))[1] == BODY + BODY
    assert codes == [CloseCode.TOO_FAST, CloseCode.TOO_FAST]


async def flooded(peer: Peer, flood: Flood) -> int | None:
    """Flood until the gateway closes: what a stall lies in is none, and is begun anew. The close code."""
    closed = asyncio.create_task(code_of_close(peer.socket))
    async with asyncio.timeout(PATIENCE):
        while not closed.done():
            with suppress(ConnectionError):
                await flood(peer)
            await settle()
    return await closed


async def code_of_close(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    while not socket.closed:
        await socket.receive(timeout=PATIENCE)
    return socket.close_code


async def test_an_attach_that_meets_its_connections_close_is_not_bound_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states: list[str] = []
    received = WebSocket.data_received

    def close_meanwhile(socket: WebSocket, data: bytes) -> None:
        running.connections.shed(1)  # nothing, unless this is the ATTACH behind a PARK
        received(socket, data)

    monkeypatch.setattr(WebSocket, "data_received", close_meanwhile)

    async def function(peer: Peer) -> Any:
        await peer.dial(attach=False)
        await peer.send(Park())
        await eventually(lambda: running.connections.parked == 1)
        await peer.attach()
        assert await peer.closed() == CloseCode.GOING_AWAY
        states.extend(running.states)
        peer.stream.detach()
        await peer.dial()
        await peer.attached()
        await peer.start()
        return await peer.end()

    async with gateway(function) as running:
        assert (await get(running.url))[0].status == 200
    assert states == ["invoking"]


def unknown(peer: Peer, sid: int) -> Attach:
    return replace(peer.stream.attach(sid), xid=bytes(16))


async def attaches(peer: Peer) -> None:
    for sid in range(1, MAX_REFUSAL_RATE + 2):
        await peer.send(unknown(peer, sid))


async def resets(peer: Peer) -> None:
    await peer.send(unknown(peer, 1))
    for _ in range(MAX_RESET_RATE + 1):
        await peer.send(Reset(1, 1, 0, ""))
