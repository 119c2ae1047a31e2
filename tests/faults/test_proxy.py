"""The proxy itself: what it does to a connection is exactly what it was told."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.kinds import (
    CLOSE,
    DOWN,
    FINISH,
    FLIP,
    HALF_OPEN,
    PAUSE,
    RESET,
    SWALLOW,
    UP,
    Point,
)
from tests.faults.pipe import CHUNK, QUEUE
from tests.faults.proxy import Proxy, running_proxy, serving_proxy
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.kinds import Fault

MIB = 1 << 20
HTTP_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Ends:
    """Both ends of connections through a proxy, on plain blocking sockets."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._open: list[socket.socket] = [self._listener]

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()
        return host, port

    def connect(self, proxy: Proxy) -> tuple[socket.socket, socket.socket]:
        known = len(proxy.connections)
        near = socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)
        far, _ = self._listener.accept()
        far.settimeout(PATIENCE)
        self._open += [near, far]
        proxy.wait(lambda: len(proxy.connections) > known)  # the kernel is quicker than the proxy
        return near, far

    def close(self) -> None:
        for one in self._open:
            one.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


@pytest.fixture
def proxy(ends: Ends) -> Iterator[Proxy]:
    with running_proxy(ends.address) as proxy:
        yield proxy


def read_all(source: socket.socket) -> tuple[bytes, str]:
    """What comes until the end, and how it ended."""
    got = bytearray()
    while True:
        try:
            data = source.recv(CHUNK)
        except ConnectionResetError:
            return bytes(got), "reset"
        except TimeoutError:
            return bytes(got), "silence"
        if not data:
            return bytes(got), "end"
        got += data


def dialled(proxy: Proxy) -> str:
    """How a connection ends that nobody wants: perhaps before `connect` has returned."""
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as near:
            return read_all(near)[1]
    except ConnectionResetError:
        return "reset"


@contextmanager
def sending(target: socket.socket, data: bytes) -> Iterator[threading.Thread]:
    def send() -> None:
        try:
            target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut on purpose

    thread = threading.Thread(target=send)
    thread.start()
    yield thread
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_bytes_and_ends_pass_both_ways(ends: Ends, proxy: Proxy) -> None:
    near, far = ends.connect(proxy)
    up, down = os.urandom(3 * MIB), os.urandom(2 * MIB)
    with sending(near, up):
        assert read_all(far) == (up, "end")
    with sending(far, down):
        assert read_all(near) == (down, "end")
    (link,) = proxy.connections
    proxy.wait(lambda: link.gone)
    assert (link.up.sent, link.down.sent, link.up.swallowed) == (len(up), len(down), 0)
    assert (proxy.faults, proxy.open_connections) == ([], [])


@pytest.mark.parametrize("offset", [0, 1, 1000, CHUNK, CHUNK + 1, MIB - 1])
@pytest.mark.parametrize(("fault", "ending"), [(RESET, "reset"), (CLOSE, "end")])
def test_a_cut_is_exact(ends: Ends, proxy: Proxy, offset: int, fault: Fault, ending: str) -> None:
    proxy.plan(Point(UP, offset, fault))
    near, far = ends.connect(proxy)
    sent = os.urandom(MIB)
    with sending(near, sent):
        assert read_all(far) == (sent[:offset], ending)
    assert read_all(near)[0] == b""
    (struck,) = proxy.faults
    assert (struck.fault, struck.connection, struck.up) == (fault, 0, offset)
    assert proxy.connections[0].up.sent == offset


def test_a_cut_counted_from_the_end_of_the_upgrade(ends: Ends, proxy: Proxy) -> None:
    proxy.plan(Point(DOWN, 3, RESET, upgraded=True))
    near, far = ends.connect(proxy)
    for piece in (HTTP_HEAD[:10], HTTP_HEAD[10:-2], HTTP_HEAD[-2:] + b"abcdef"):
        far.sendall(piece)
    assert read_all(near) == (HTTP_HEAD + b"abc", "reset")
    assert proxy.connections[0].down.upgrade == len(HTTP_HEAD)


def test_only_the_next_connection_is_planned(ends: Ends, proxy: Proxy) -> None:
    proxy.plan(Point(UP, 0, RESET))
    first, _ = ends.connect(proxy)
    first.sendall(b"x")
    assert read_all(first) == (b"", "reset")
    second, far = ends.connect(proxy)
    second.sendall(b"x")
    assert far.recv(1) == b"x"


def test_half_open_swallows_both_ways_and_tells_nobody(ends: Ends, proxy: Proxy) -> None:
    near, far = ends.connect(proxy)
    proxy.strike(HALF_OPEN)
    near.sendall(b"lost")
    far.close()
    (link,) = proxy.connections
    proxy.wait(lambda: link.up.swallowed == 4)
    near.settimeout(0.2)
    assert read_all(near) == (b"", "silence")
    assert not link.closed


def test_one_way_loss(ends: Ends, proxy: Proxy) -> None:
    near, far = ends.connect(proxy)
    proxy.strike(SWALLOW, DOWN)
    far.sendall(b"lost")
    near.sendall(b"arrives")
    assert far.recv(100) == b"arrives"
    proxy.wait(lambda: proxy.connections[0].down.swallowed == 4)


def test_half_closed(ends: Ends, proxy: Proxy) -> None:
    near, far = ends.connect(proxy)
    proxy.strike(FINISH, UP)
    assert read_all(far) == (b"", "end")
    far.sendall(b"still")
    assert near.recv(100) == b"still"


def test_pause_holds_the_sender_up(ends: Ends, proxy: Proxy) -> None:
    near, far = ends.connect(proxy)
    proxy.strike(PAUSE, UP)
    far.sendall(b"the other way")
    assert near.recv(100) == b"the other way"
    sent = os.urandom(64 * MIB)
    (link,) = proxy.connections
    with sending(near, sent) as thread:
        proxy.wait(lambda: link.up.received >= QUEUE * CHUNK)
        far.settimeout(0.1)
        assert read_all(far) == (b"", "silence")
        assert thread.is_alive()
        assert link.up.received <= (QUEUE + 2) * CHUNK
        far.settimeout(PATIENCE)
        link.resume()
        assert read_all(far) == (sent, "end")


def test_delay_and_throttle_take_their_time_and_lose_nothing(ends: Ends, proxy: Proxy) -> None:
    near, far = ends.connect(proxy)
    (link,) = proxy.connections
    link.delay(0.2, UP)
    began = time.monotonic()
    near.sendall(b"x")
    assert far.recv(1) == b"x"
    assert time.monotonic() - began >= 0.19
    link.delay(0)
    link.throttle(200_000)
    sent, began = os.urandom(100_000), time.monotonic()
    with sending(near, sent):
        assert read_all(far) == (sent, "end")
    assert time.monotonic() - began >= 0.45


def test_one_bit_is_flipped(ends: Ends, proxy: Proxy) -> None:
    near, far = ends.connect(proxy)
    proxy.connections[0].plan(Point(UP, 2, FLIP))
    near.sendall(b"abcabc")
    near.shutdown(socket.SHUT_WR)
    assert read_all(far) == (b"ab" + b"b" + b"abc", "end")


def test_refusing_and_not_listening(ends: Ends, proxy: Proxy) -> None:
    proxy.refuse()
    assert dialled(proxy) == "reset"
    proxy.close_listener()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)
    proxy.open_listener()
    proxy.refuse(refusing=False)
    near, far = ends.connect(proxy)
    near.sendall(b"x")
    assert (far.recv(1), proxy.refused) == (b"x", 1)


def test_a_target_that_is_gone_is_seen(ends: Ends, proxy: Proxy) -> None:
    near, far = ends.connect(proxy)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    assert read_all(near) == (b"", "reset")
    ends.close()
    assert dialled(proxy) == "reset"


async def test_on_a_running_loop() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        writer.close()
        await writer.wait_closed()

    async with (
        await asyncio.start_server(echo, "127.0.0.1", 0) as server,
        serving_proxy(server.sockets[0].getsockname()) as proxy,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()
        await proxy.until(lambda: proxy.connections[0].gone)


def test_waiting_fails_in_time(proxy: Proxy) -> None:
    with pytest.raises(AssertionError, match=r"still False after 0\.1 s"):
        proxy.wait(lambda: False, 0.1)


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_comes_as_the_proxy_closes_is_closed_too(turns: int) -> None:
    """Whichever turn of the loop that falls into: one that is left open is a warning, and fails."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        async with serving_proxy(target.getsockname()) as proxy:
            await asyncio.sleep(0)
            near = socket.create_connection(("127.0.0.1", proxy.port))
            for _ in range(turns):
                await asyncio.sleep(0)
        near.close()
    gc.collect()
