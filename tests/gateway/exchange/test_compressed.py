"""A compressed response between function and client: what is acknowledged, and when an end is one."""

from __future__ import annotations

import asyncio
import random
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from protocol.errors import ResetCode
from protocol.limits import INITIAL_WINDOW
from tests.gateway.edge.serving import unchunk
from tests.gateway.exchange.asking import eventually, stands_still
from tests.gateway.exchange.peer import Peer, gateway
from tests.gateway.exchange.test_hard_cases import connect, leave
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from protocol.frames import Frame

GET = b"GET / HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n"
WORDS = b" ".join(b"%x" % number for number in random.Random(1).choices(range(9999), k=400_000))
"""Two MB of text: several windows, and many slices of each."""


class Decoding:
    """What a client has read and decoded so far."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._inflate = zlib.decompressobj(31)

    async def chunk(self) -> bytes:
        size = int(await self._reader.readline(), 16)
        return self._inflate.decompress((await self._reader.readexactly(size + 2))[:-2])

    @property
    def whole(self) -> bool:
        return self._inflate.eof


async def test_the_client_has_one_chunk_before_the_function_writes_the_next() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        for word in (b"one", b"two", b"three"):
            await peer.write(word)
            await decoded.get()
        await peer.until(lambda: peer.stream._response.body.acked == len(b"onetwothree"))
        return await peer.end()

    decoded: asyncio.Queue[bytes] = asyncio.Queue()
    async with gateway(function, compress=True) as running, asyncio.timeout(PATIENCE):
        reader, writer = await connect(running, GET)
        await reader.readuntil(b"\r\n\r\n")
        client = Decoding(reader)
        for word in (b"one", b"two", b"three"):
            assert await client.chunk() == word
            decoded.put_nowait(word)
        assert await client.chunk() == b""
        assert client.whole
        assert await reader.read() == b"0\r\n\r\n"
        await leave(writer)
        await eventually(lambda: running.states == ["completed"])
        assert running.driver.exchanges()[0].body_bytes == len(b"onetwothree")


@pytest.mark.parametrize("cut", [False, True], ids=["in one go", "with a cut"])
async def test_windows_of_text_come_whole(cut: bool) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(WORDS[: len(WORDS) // 2])
        if cut:
            await peer.cut()
            await peer.dial()
            await peer.attached()
        await peer.write(WORDS[len(WORDS) // 2 :])
        return await peer.end()

    async with gateway(function, compress=True) as running, asyncio.timeout(PATIENCE):
        reader, writer = await connect(running, GET)
        await reader.readuntil(b"\r\n\r\n")
        coded = b"".join(unchunk(await reader.read()))
        assert zlib.decompress(coded, 31) == WORDS
        assert len(coded) < 0.6 * len(WORDS)
        await leave(writer)
        await eventually(lambda: running.states == ["completed"])
        assert running.store.budget.held == 0


async def test_a_client_that_reads_nothing_holds_one_window() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(200, ((b"content-type", b"text/plain"),))
        noise = random.Random(1).randbytes(INITIAL_WINDOW)
        for _ in range(64):
            await peer.write(noise)
        written.append("16 MiB to a client that reads nothing")

    written: list[str] = []
    async with gateway(function, compress=True) as running, asyncio.timeout(PATIENCE):
        _, writer = await connect(running, GET)
        await eventually(lambda: any(sink.blocked for sink in running.handler._open))
        (sink,) = running.handler._open
        await stands_still(lambda: sink.body_bytes)
        assert not written
        held = running.store.budget.held
        assert 0 < held <= 4 * 1024 * 1024
        assert sink.pending <= held, "the transport holds no more than the journal counts"
        await leave(writer)


BROKEN = {
    "reset": lambda peer: peer.stream.reset(ResetCode.HANDLER_ERROR, ""),
    "wrong CRC": lambda peer: peer.stream.end(),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("sized", [True, False])
async def test_without_an_end_there_is_neither_trailer_nor_last_chunk(
    how: str, sized: bool
) -> None:
    """Also of a body of promised length: all its bytes are there, and still it is no end."""

    async def function(peer: Peer) -> Any:
        length = ((b"content-length", b"%d" % len(WORDS)),) if sized else ()
        await peer.dial()
        await peer.start(200, ((b"content-type", b"text/plain"), *length))
        await peer.write(WORDS)
        await peer.until(lambda: peer.stream._response.body.acked == len(WORDS))
        await decoded.wait()
        BROKEN[how](peer)
        for frame in peer.stream.frames_to_send(peer._now()):
            await peer.send(_spoilt(frame))
        return peer.receipt()

    decoded = asyncio.Event()
    async with gateway(function, compress=True) as running, asyncio.timeout(PATIENCE):
        reader, writer = await connect(running, GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length" not in head.lower()
        client, seen = Decoding(reader), b""
        while len(seen) < len(WORDS):
            seen += await client.chunk()
        assert seen == WORDS
        decoded.set()
        with pytest.raises(ConnectionResetError):
            while True:
                assert await reader.readexactly(1) == b"nothing more"
        assert not client.whole
        assert running.states == ["failed"]
        await leave(writer)


def _spoilt(frame: Frame) -> Frame:
    crc = getattr(frame, "crc", None)
    return frame if crc is None else replace(frame, crc=crc ^ 1)


async def test_a_whole_answer_of_an_unaware_function_is_compressed_as_well() -> None:
    async def function(peer: Peer) -> Any:
        headers = {"content-type": "text/plain", "etag": '"1"'}
        return {"statusCode": 200, "headers": headers, "body": WORDS.decode()}

    async with gateway(function, compress=True) as running, asyncio.timeout(PATIENCE):
        reader, writer = await connect(running, GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b'etag: W/"1"' in head
        assert zlib.decompress(b"".join(unchunk(await reader.read())), 31) == WORDS
        await leave(writer)
