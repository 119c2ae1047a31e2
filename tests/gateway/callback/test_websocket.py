"""A callback from its upgrade to its end, byte by byte, with TLS and without."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.http import HttpRequestParser, StreamWriter
from websockets.protocol import Protocol

from gateway.callback import websocket
from protocol.codec import encode
from protocol.errors import CloseCode
from protocol.frames import Park
from tests.gateway.callback.door import door
from tests.gateway.callback.frames import BINARY, CLOSE, FIN, PING, PONG, TEXT, frame
from tests.gateway.edge.serving import Client, over_tls
from tests.gateway.exchange.asking import eventually
from tests.patience import PATIENCE
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway.callback.door import Door

PARK = frame(FIN | BINARY, encode(Park()))


@pytest.fixture(autouse=True, params=[False, True], ids=["tcp", "tls"])
def secured(request: pytest.FixtureRequest) -> Iterator[None]:
    token = over_tls.set(request.param)
    yield
    over_tls.reset(token)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told of the end has time to read why, unless a test is about that time."""
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", PATIENCE)


def close(code: int) -> bytes:
    """A Close as a server says it."""
    return bytes((FIN | CLOSE, 2)) + code.to_bytes(2)


async def gone(it: Door) -> None:
    """Wait until nobody is connected, as far as anybody counts."""
    await eventually(lambda: (len(it.connections), len(it.server.crowd)) == (0, 0))


# ------------------------------------------------------------ the upgrade


async def test_the_upgrade_is_answered_and_no_extension_is_agreed_upon() -> None:
    async with door() as it, Client(it.port) as client:
        client.send(it.knock("Sec-WebSocket-Extensions: permessage-deflate"))
        head = (await client.head()).decode().splitlines()
        assert head[0] == "HTTP/1.1 101 Switching Protocols"
        assert set(head[1:-1]) == {
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "Sec-WebSocket-Protocol: dialback.v1",
        }
        assert (len(it.server.crowd), it.connections.unattached) == (1, 1)


async def test_what_came_behind_the_request_is_not_lost() -> None:
    async with door() as it, it.client(early=PARK[:3]) as client:
        client.send(PARK[3:])
        await eventually(lambda: it.connections.parked == 1)


async def test_a_request_in_pieces_is_upgraded_too() -> None:
    async with door() as it, Client(it.port) as client:
        for byte in it.knock():
            client.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert b" 101 " in await client.head()


OF_AIOHTTP = (
    web.RequestHandler,
    web.BaseRequest,
    web.StreamResponse,
    HttpRequestParser,
    StreamWriter,
    asyncio.Task,
)


def held() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, OF_AIOHTTP))


async def test_nothing_of_aiohttp_is_kept_once_it_is_upgraded() -> None:
    async with door() as it:
        gc.collect()
        gc.disable()
        try:
            before = held()
            async with it.client(), it.client():
                await settle()
                assert len(it.connections) == 2
                assert held() <= before
        finally:
            gc.enable()


LEFT = {
    "close": frame(FIN | CLOSE),
    "no opcode": frame(FIN | 0x3),
    "fragment": frame(BINARY, bytes(60_000)),
    "text": frame(FIN | TEXT),
    "ping": frame(FIN | PING),
}


def has_a_library(it: Door) -> bool:
    return it.pump._socket._library is not None


@pytest.mark.parametrize("sent", LEFT.values(), ids=LEFT)
async def test_what_has_left_needs_no_collector(sent: bytes) -> None:
    async with door() as it:
        gc.collect()
        gc.disable()
        try:
            before = sum(isinstance(one, Protocol) for one in gc.get_objects())
            async with it.client() as client:
                client.send(sent)
                await eventually(lambda: not len(it.connections) or has_a_library(it))
                client.writer.transport.abort()
                await gone(it)
            await settle()
            assert sum(isinstance(one, Protocol) for one in gc.get_objects()) == before
        finally:
            gc.enable()


# ------------------------------------------------------------ what comes


async def test_a_ping_is_answered_between_two_messages() -> None:
    async with door() as it, it.client() as client:
        client.send(frame(FIN | PING, b"one") + PARK + frame(FIN | PONG) + frame(FIN | PING))
        assert await client.exactly(7) == b"\x8a\x03one\x8a\x00"
        assert it.connections.parked == 1


async def test_of_pongs_that_nobody_takes_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 2 * PATIENCE)
    async with door() as it, it.client() as client:
        far = it.pump._socket
        raw = far._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not far.full:
            client.send(frame(FIN | PING, bytes(125)) * 300)
            await client.writer.drain()
            await settle()
        for _ in range(10):
            client.send(frame(FIN | PING, bytes(125)) * 300)
            await client.writer.drain()
            await settle()
        client.send(PARK)
        await eventually(lambda: it.connections.parked == 1)
        it.connections.shed(1)
        client.send(frame(FIN | PING, bytes(125)) * 300 + frame(FIN | CLOSE))
        library = far._get_library()
        await eventually(lambda: library.close_rcvd is not None)
        assert far.waiting < 1 << 18


ENDS = {
    "text": (frame(FIN | TEXT, b"hello"), CloseCode.UNSUPPORTED_DATA),
    "no mask": (frame(FIN | BINARY, mask=b""), 1002),
    "compressed": (frame(0xC2, b"x"), 1002),
    "too large": (frame(FIN | BINARY, bytes(100_000)), CloseCode.MESSAGE_TOO_BIG),
    "a flood": (frame(FIN | PONG) * 40_000, CloseCode.TOO_FAST),
    "no frame of ours": (frame(FIN | BINARY, b"\x93\xc1\xc1\xc1"), CloseCode.PROTOCOL),
}


@pytest.mark.parametrize(("sent", "code"), ENDS.values(), ids=ENDS)
async def test_whoever_breaks_a_rule_reads_why_although_it_goes_on(sent: bytes, code: int) -> None:
    async with door() as it, it.client() as client:
        client.send(sent + bytes(1 << 20))
        first, size, *said = await client.exactly(4)
        assert (first, int.from_bytes(said)) == (FIN | CLOSE, code)
        assert len(await client.rest()) == size - 2
        client.writer.transport.abort()
        await gone(it)


async def test_whoever_goes_on_breaking_a_rule_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with door() as it, it.client() as client:
        client.send(frame(FIN | TEXT) * 100 + frame(FIN | CLOSE))
        assert await client.exactly(4) == close(CloseCode.UNSUPPORTED_DATA)
        assert await client.rest() == b""
    assert len([one for one in caplog.records if "broke the protocol" in one.message]) == 1


# ------------------------------------------------------------ the end


async def test_a_close_is_answered_and_then_nothing_is_sent_or_read() -> None:
    async with door() as it, it.client() as client:
        client.send(frame(FIN | CLOSE, b"\x03\xe9bye") + PARK)
        assert await client.rest() == b"\x88\x05\x03\xe9bye"
        assert it.connections.parked == 0
        client.writer.close()
        await gone(it)


async def test_our_own_close_waits_for_the_answer() -> None:
    async with door() as it, it.client() as client:
        client.send(PARK)
        await eventually(lambda: it.connections.parked == 1)
        assert it.connections.shed(1) == 1
        assert await client.exactly(4) == close(CloseCode.GOING_AWAY)
        client.send(PARK + frame(FIN | CLOSE, b"\x03\xe9"))
        assert await client.rest() == b""
        client.writer.close()
        await gone(it)
        assert it.connections.parked == 0


async def test_who_never_answers_a_close_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.05)
    async with door() as it, it.client() as silent, it.client() as deaf:
        for client in (silent, deaf):
            client.send(PARK)
        await eventually(lambda: it.connections.parked == 2)
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        it.connections.shed(2)
        await gone(it)


async def test_a_function_that_leaves_without_a_word_has_left() -> None:
    async with door() as it:
        async with it.client() as client:
            client.send(PARK)
        await gone(it)


async def test_who_says_nothing_more_has_left_whatever_it_has_yet_to_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.05)
    async with door() as it, it.client() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        it.pump._socket._transport.write(bytes(16 << 20))
        descriptor = os.dup(client.writer.get_extra_info("socket").fileno())
        with socket.socket(fileno=descriptor) as raw:
            raw.shutdown(socket.SHUT_WR)
        await gone(it)


async def test_when_the_gateway_ends_all_are_told_and_nobody_is_let_in() -> None:
    async with door() as it, it.client() as one, it.client() as other, Client(it.port) as late:
        it.connections.close()
        late.send(it.knock())
        assert b" 503 " in await late.head()
        ended = asyncio.ensure_future(it.connections.ended())
        for client in (one, other):
            assert await client.exactly(4) == close(CloseCode.GOING_AWAY)
            assert not ended.done()
            client.writer.transport.abort()
        await ended


# ------------------------------------------------------------ anything at all


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_bytes_come_nobody_is_left_behind(
    seed: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.1)
    chance = random.Random(seed)
    async with door() as it:
        for _ in range(25):
            async with it.client(early=noise(chance)) as client:
                for _ in range(chance.randrange(4)):
                    more = noise(chance)
                    if not client.writer.is_closing():  # uvloop raises where asyncio drops it
                        client.send(more)
                    await asyncio.sleep(0)
                if chance.random() < 0.5:
                    client.writer.transport.abort()
        await gone(it)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def noise(chance: random.Random) -> bytes:
    """Frames, frames with a bit that has flipped, and bytes that are none."""
    made = bytearray()
    for _ in range(chance.randrange(6)):
        kind = chance.choice([FIN | BINARY, BINARY, FIN, FIN | PING, FIN | PONG, FIN | CLOSE])
        made += frame(kind, chance.randbytes(chance.choice([0, 2, 5, 130, 70_000])))
    if made and chance.random() < 0.7:
        made[chance.randrange(min(len(made), 16))] ^= 1 << chance.randrange(8)
    return bytes(made) + chance.randbytes(chance.choice([0, 0, 1, 40]))
