"""What goes wrong only when two things happen at once, or when a function means harm."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from dataclasses import replace
from typing import Any

import pytest

from gateway.invoke.base import InvokeResult
from gateway.journal.memory import MemoryJournal
from gateway.journal.store import Buried
from protocol.codec import decode
from protocol.errors import ResetCode
from protocol.frames import Attached, Data, Frame, Reset
from protocol.limits import MAX_WINDOW
from tests.gateway.exchange.asking import (
    answer_of,
    eventually,
    get,
)
from tests.gateway.exchange.peer import GatewayUnderTest, Peer, gateway
from tests.patience import PATIENCE


async def connect(
    running: GatewayUnderTest, request: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send the beginning of a request, byte by byte as given."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1024)
    writer.write(request)
    return reader, writer


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_response_that_ends_before_its_upload_is_the_only_one() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(200, ((b"content-length", b"2"),))
        await peer.write(b"ok")
        return await peer.end()

    async with gateway(function, request_body="stream") as running, asyncio.timeout(PATIENCE):
        begun = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"
        reader, writer = await connect(running, begun)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"
        writer.write(b" done" + b"GET / HTTP/1.0\r\nhost: x\r\n\r\n")
        assert (await reader.read()).count(b" 200 OK\r\n") == 1
        await leave(writer)


async def test_a_reset_with_a_code_of_a_later_version_ends_the_exchange() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        await peer.send(Reset(peer.stream._sid, 99, 0, "what does not exist yet"))
        await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE):
        assert (await answer_of(function))[0] == 502


@pytest.mark.parametrize("code", [99, None])
async def test_a_receipt_with_a_reset_code_of_a_later_version_ends_the_exchange(code: Any) -> None:
    async def function(peer: Peer) -> Any:
        receipt: dict[str, Any] = peer.receipt()
        receipt["dialback"] |= {"status": "reset", "code": code}
        return receipt

    async with asyncio.timeout(PATIENCE):
        assert (await answer_of(function))[0] == 502


async def test_a_function_that_takes_any_upload_and_reads_none_fills_no_memory() -> None:
    looked = asyncio.Event()

    async def function(peer: Peer) -> Any:
        await peer.dial(attach=False)
        await peer.send(replace(peer.stream.attach(1), req_max=2**62))
        await looked.wait()
        return None

    async with gateway(function, request_body="stream") as running, asyncio.timeout(PATIENCE):
        begun = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99000000\r\n\r\n"
        _, writer = await connect(running, begun)
        sending = asyncio.create_task(send_on(writer, 99_000_000))
        await eventually(lambda: running.store.find(exchange_of(running)) is not None)
        upload = running.store.find(exchange_of(running))
        assert isinstance(upload, MemoryJournal)
        assert upload._stream._upload is not None
        body = upload._stream._upload.body
        await eventually(lambda: body.written >= MAX_WINDOW)
        for _ in range(100):  # whatever else would come comes within a few turns of the loop
            await asyncio.sleep(0)
        assert body.written - body.acked <= MAX_WINDOW
        looked.set()
        sending.cancel()
        await leave(writer)


async def send_on(writer: asyncio.StreamWriter, size: int) -> None:
    for _ in range(0, size, 65536):
        writer.write(bytes(65536))
        await writer.drain()


def exchange_of(running: GatewayUnderTest) -> bytes:
    return bytes.fromhex(running.driver.exchanges()[-1].id) if running.driver.exchanges() else b""


async def test_a_client_that_leaves_before_it_took_the_last_bytes_got_no_clean_end() -> None:
    async def function(peer: Peer) -> Any:
        return {"statusCode": 200, "body": "x" * 30_000_000}

    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        _, writer = await connect(running, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await eventually(lambda: running.states == ["flushing"])
        await leave(writer)
        await eventually(lambda: running.states != ["flushing"])
        assert running.states == ["cancelled"]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("HEAD", 304)])
async def test_no_length_is_invented_where_no_body_belongs(method: str, status: int) -> None:
    async def function(peer: Peer) -> Any:
        return {"statusCode": status}

    async with gateway(function) as running:
        response, _ = await get(running.url, method)
        assert (response.status, response.headers.get("content-length")) == (status, None)


@pytest.mark.parametrize(("method", "length"), [("GET", "0"), ("HEAD", "5")])
async def test_a_length_without_a_body_counts_for_head_only(method: str, length: str) -> None:
    async def function(peer: Peer) -> Any:
        return {"statusCode": 200, "headers": {"content-length": "5"}, "body": ""}

    async with gateway(function) as running:
        response, body = await get(running.url, method)
        assert (response.headers["content-length"], body) == (length, b"")
        assert running.states == ["completed"]


async def test_a_reset_frees_the_connection_for_the_next_exchange() -> None:
    peers: list[Peer] = []
    answers: list[Frame | None] = []
    both = asyncio.Event()

    async def function(peer: Peer) -> Any:
        peers.append(peer)
        if len(peers) == 2:
            both.set()
            await asyncio.Event().wait()
        await both.wait()
        await peer.dial()
        await peer.attached()
        following = peers[1].stream.attach(peer.stream._sid + 1)
        await peer.send(Reset(peer.stream._sid, 1, 0, ""))
        await peer.send(following)
        answers.append(decode((await peer.socket.receive()).data))
        return peer.receipt()

    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        asks = [asyncio.create_task(get(running.url)) for _ in range(2)]
        await eventually(lambda: answers)
        for ask in asks:
            ask.cancel()
        await asyncio.gather(*asks, return_exceptions=True)
    assert isinstance(answers[0], Attached)


async def test_nothing_is_kept_of_an_upload_that_a_reset_ended() -> None:
    journals: list[weakref.ref[object]] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.until(lambda: any(isinstance(frame, Data) for frame in peer.received))
        journals.append(weakref.ref(running.store.find(exchange_of(running))))
        await peer.send(Reset(peer.stream._sid, 1, 0, ""))
        return peer.receipt()

    async with gateway(function, request_body="stream") as running, asyncio.timeout(PATIENCE):
        await get(running.url, "POST", data=bytes(100_000))
        assert isinstance(running.store.find(exchange_of(running)), Buried)
        await eventually(lambda: journals[0]() is None)


async def test_what_operators_see_of_a_failed_exchange_keeps_no_request() -> None:
    async def function(peer: Peer) -> Any:
        return InvokeResult(b'{"errorType": "Runtime.ExitError"}', "Unhandled", "r")

    async with gateway(function) as running:
        assert (await get(running.url, "POST", data=b"a body"))[0].status == 502
        assert [exchange.failure for exchange in running.driver.exchanges()] == [None]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_body_of_known_length_is_not_whole_before_its_end(version: str) -> None:
    """All bytes are there, and then the function says that it failed."""
    seen = asyncio.Event()

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(200, ((b"content-length", b"5"),))
        await peer.write(b"hello")
        await seen.wait()
        await peer.attached()
        peer.stream.reset(ResetCode.HANDLER_ERROR, "it raised at last")
        await peer.flush()
        return peer.receipt()

    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        request = f"GET / HTTP/{version}\r\nhost: x\r\n\r\n".encode()
        reader, writer = await connect(running, request)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(4) == b"hell"
        seen.set()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        await leave(writer)


async def test_a_head_that_promises_no_bytes_waits_for_the_end() -> None:
    """Its client would take it for the whole response; and then the function fails."""

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(200, ((b"content-length", b"0"),))
        await peer.attached()
        peer.stream.reset(ResetCode.HANDLER_ERROR, "it raised at last")
        await peer.flush()
        return peer.receipt()

    assert await answer_of(function) == (502, "the function failed")


async def test_a_head_that_promises_no_bytes_leaves_with_the_end() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(200, ((b"content-length", b"0"),))
        return await peer.end()

    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        response, body = await get(running.url)
        assert (response.status, response.headers["content-length"], body) == (200, "0", b"")
