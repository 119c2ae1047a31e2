"""What `@streaming` makes of every kind of handler, with a gateway and without."""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import streamify_response, streaming
from lambda_client.running import running_session
from protocol.frames import Attach, AttachFlag, Data, End, Head
from tests.lambda_client.gateway import (
    Gateway,
    eventually,
    silent_address,
)
from tests.lambda_client.handlers import EVERY_BYTE, attached, call, warm
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from aiohttp import web

    from protocol.receipt import Receipt

    Handler = Callable[[Any, Any], Any]


# ---------------------------------------------------------------- generators


def test_a_generator_streams_chunk_by_chunk(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 201, "headers": {"X-A": "b"}, "cookies": ["c=1", "d=2"]}
        eventually(lambda: any(isinstance(frame, Head) for frame in exchange.log))
        for number in range(5):
            yield f"chunk {number}\n"
            eventually(lambda number=number: len(exchange.chunks) == number + 1)  # type: ignore[misc]

    receipt = call(handler, exchange)
    assert exchange.head.status == 201
    assert exchange.headers("x-a") == ["b"]
    assert exchange.headers("set-cookie") == ["c=1", "d=2"]
    assert exchange.headers("content-type") == ["application/octet-stream"]
    assert exchange.chunks == [f"chunk {number}\n".encode() for number in range(5)]
    assert (receipt.status, receipt.final, receipt.tail) == ("end", 40, None)
    assert exchange.stream.ended


def test_an_async_generator_streams_chunk_by_chunk(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    async def handler(event: Any, context: Any) -> AsyncIterator[Any]:
        yield {"headers": {"content-type": "text/plain"}}
        for number in range(3):
            yield bytes([number])
            while len(exchange.chunks) <= number:
                await asyncio.sleep(0.001)

    assert call(handler, exchange).status == "end"
    assert exchange.head.status == 200
    assert exchange.chunks == [b"\0", b"\1", b"\2"]


def test_the_handler_starts_while_the_socket_is_being_dialled(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    begun = threading.Event()

    def late(_: web.BaseRequest) -> None:
        assert begun.wait(PATIENCE)

    gateway.refuse = late

    @streaming
    def handler(event: Any, context: Any) -> Iterator[str]:
        begun.set()
        attached(exchange)
        yield "x"

    call(handler, exchange)
    assert exchange.body == b"x"


def test_a_small_generator_on_a_cold_connection_returns_inline(gateway: Gateway) -> None:
    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 202}
        yield b"sm"
        yield "all"

    with silent_address() as url:
        receipt = call(handler, gateway.exchange(urls=(url,)))
    assert (receipt.status, receipt.tail) == ("end", (0, b"small"))
    assert receipt.head == (202, ((b"content-type", b"application/octet-stream"),))
    assert receipt.dial is None


def test_a_small_generator_on_a_warm_connection_streams(gateway: Gateway) -> None:
    warm(gateway)
    for _ in range(20):
        exchange = gateway.exchange()
        receipt = call(streaming(lambda event, context: iter(["hello"])), exchange)
        assert (receipt.status, receipt.tail) == ("end", None)
        assert exchange.body == b"hello"
    assert len(gateway.requests) == 1
    sids = [f.sid for x in gateway.exchanges.values() for f in x.log if isinstance(f, Attach)]
    assert sids == sorted(set(sids))


def test_head_data_and_end_do_not_wait_for_attached(gateway: Gateway) -> None:
    warm(gateway)
    exchange = gateway.exchange()
    call(streaming(lambda event, context: iter(["a"])), exchange)
    assert [type(frame) for frame in exchange.log] == [Attach, Head, Data, End]
    attach = exchange.log[0]
    assert isinstance(attach, Attach)
    assert attach.flags & AttachFlag.FRESH


def test_chunks_that_wait_together_travel_together(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    written = threading.Event()

    def late(_: web.BaseRequest) -> None:
        assert written.wait(PATIENCE)

    gateway.refuse = late

    @streaming
    def handler(event: Any, context: Any) -> Iterator[str]:
        for _ in range(1000):
            yield "x" * 100  # far more than 64 KiB
        written.set()

    call(handler, exchange)
    frames = [frame for frame in exchange.log if isinstance(frame, Data)]
    assert exchange.body == b"x" * 100_000
    assert len(frames) < 5


def test_an_empty_generator_is_an_empty_answer(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[str]:
        attached(exchange)
        yield from ()

    assert call(handler, exchange).status == "end"
    assert (exchange.head.status, exchange.body) == (200, b"")


def test_a_second_head_is_refused(gateway: Gateway) -> None:
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 200}
        yield {"statusCode": 404}

    with pytest.raises(TypeError, match="not dict"):
        streaming(handler)({}, None)


def test_decorated_twice_it_streams_all_the_same(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield b"first"
        eventually(lambda: exchange.body == b"first")
        yield b", second"

    assert call(handler, exchange).status == "end"
    assert exchange.body == b"first, second"


# ---------------------------------------------------------------- bytes


def test_every_byte_in_odd_chunks_arrives_unchanged(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    source = random.Random(3)
    sent = hashlib.sha256()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield EVERY_BYTE
        sent.update(EVERY_BYTE)
        for _ in range(300):
            chunk = source.randbytes(source.choice([1, 7, 255, 4097, 65_536, 65_537, 200_003]))
            sent.update(chunk)
            yield chunk

    receipt = call(handler, exchange)
    assert hashlib.sha256(exchange.body).digest() == sent.digest()
    assert receipt.final == len(exchange.body)


@pytest.mark.parametrize("max_frame", [4096, 65_536])
def test_no_frame_is_larger_than_the_gateway_takes(gateway: Gateway, max_frame: int) -> None:
    exchange = gateway.exchange(max_frame=max_frame)
    call(streaming(lambda event, context: {"statusCode": 200, "body": b"x" * 200_000}), exchange)
    sizes = [len(frame.data) for frame in exchange.log if isinstance(frame, Data)]
    assert max(sizes) == max_frame
    assert len(exchange.body) == 200_000


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_slow_gateway_holds_the_handler_back(gateway: Gateway, asynchronous: bool) -> None:
    window = 64 * 1024
    exchange = gateway.exchange(window=window, reading=False)
    written = []

    def chunks() -> Iterator[bytes]:
        for number in range(32):
            written.append(number)
            yield b"x" * 16_384

    async def chunks_async() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    handler = streaming(lambda event, context: chunks_async() if asynchronous else chunks())
    results: list[Receipt] = []
    worker = threading.Thread(target=lambda: results.append(call(handler, exchange)))
    worker.start()
    eventually(lambda: len(exchange.body) == window)
    eventually(lambda: len(written) == window // 16_384 + 1)
    cpu = time.process_time()
    time.sleep(0.2)  # not for synchronisation: nothing may happen in this time
    assert time.process_time() - cpu < 0.1, "it waits by spinning"
    assert len(written) == window // 16_384 + 1
    exchange.take_everything()
    worker.join(PATIENCE)
    assert results[0].status == "end"
    assert len(exchange.body) == 32 * 16_384


@pytest.mark.parametrize("broken_off", [False, True])
def test_chunks_of_concurrent_tasks_are_not_torn(gateway: Gateway, broken_off: bool) -> None:
    exchange = gateway.exchange(window=1000, reading=False)

    @streamify_response
    async def handler(event: Any, stream: Any, context: Any) -> None:
        session = running_session()
        assert session is not None
        first = asyncio.create_task(stream.write(b"a" * 1500))
        while session.stream.room or not exchange.chunks:
            await asyncio.sleep(0)
        if broken_off:
            first.cancel()
        exchange.take_everything()
        eventually(lambda: session.stream.room)  # nor does the first task notice, in this turn
        await stream.write(b"b" * 500)
        await asyncio.gather(first, return_exceptions=True)

    call(handler, exchange)
    assert exchange.body == b"a" * (1000 if broken_off else 1500) + b"b" * 500


def test_chunks_of_concurrent_threads_are_not_torn(gateway: Gateway) -> None:
    exchange = gateway.exchange(window=1000)
    chunks = [bytes([65 + n]) * 20_000 for n in range(4)]

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        with ThreadPoolExecutor(len(chunks)) as threads:
            list(threads.map(stream.write, chunks))

    call(handler, exchange)
    assert sorted(exchange.body[at : at + 20_000] for at in range(0, 80_000, 20_000)) == chunks
