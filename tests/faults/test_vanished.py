"""A client that is gone without a word: no FIN, no RST, no acknowledgement."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from gateway import sockets
from gateway.edge.server import EdgeServer
from gateway.sockets import watch_peers
from gateway.timing import Timing
from protocol.errors import CancelCode, ResetCode
from tests.gateway.exchange.asking import eventually
from tests.gateway.exchange.peer import gateway
from tests.gateway.workers.gateways import FUNCTIONS
from tests.patience import PATIENCE
from tests.settling import settle
from tests.system.running import eventually as until
from tests.system.running import running_dialback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.gateway.exchange.peer import Behaviour, GatewayUnderTest, Peer

    Address = tuple[str, int]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems lack the options")

SO_ATTACH_FILTER = 26
"""asm-generic/socket.h; Python does not name it."""

USER_TIMEOUT = 1.0
"""Seconds; the gateway's own is minutes."""

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def deafen(client: socket.socket) -> None:
    """Let nothing reach a client's TCP any more, as if its network were gone: it answers nothing.

    A filter of one instruction drops every packet (socket(7), SO_ATTACH_FILTER; bpf(4)).
    """
    drop = struct.pack("HBBI", 0x06, 0, 0, 0)
    program = ctypes.create_string_buffer(drop)
    attached = struct.pack("HL", 1, ctypes.addressof(program))
    client.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, attached)


@asynccontextmanager
async def watched(
    function: Behaviour,
) -> AsyncIterator[tuple[GatewayUnderTest, Address]]:
    """A gateway whose kernel watches clients for `USER_TIMEOUT`, and where it listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    watch_peers(listener, USER_TIMEOUT)
    async with gateway(function, timeout=60.0) as running:
        edge = EdgeServer(running.handler, running.telemetry, Timing())
        async with await asyncio.get_running_loop().create_server(edge, sock=listener):
            yield running, listener.getsockname()
            await edge.shutdown(1)
            await settle()


def flooding(told: list[int]) -> Behaviour:
    """A function that writes whatever it may until it is told to stop, and notes with which code."""

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        while peer.stream.cancelled is None:
            if peer.stream.write(bytes(65_536)):
                await peer.flush()
            else:
                await peer.receive()
        told.append(peer.stream.cancelled.code)
        peer.stream.reset(ResetCode.CANCELLED, "as told")
        await peer.flush()
        return peer.receipt()

    return function


@contextmanager
def taking_nothing(address: Address) -> Iterator[socket.socket]:
    """A client with next to no room, which never reads."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(address)
        client.sendall(ASK)
        yield client


async def assert_timed_out(running: GatewayUnderTest, asked: float) -> None:
    """The exchange is cancelled for want of its client, and it was the timer, no FIN.

    Args:
        running: the gateway.
        asked: when the client did, by the loop: no later moment is sure to be before the timer's start.
    """
    await eventually(lambda: running.states == ["cancelled"])
    assert asyncio.get_running_loop().time() - asked > USER_TIMEOUT / 2


@pytest.mark.fault("30b")
@pytest.mark.parametrize("gone", [False, True], ids=["its window is closed", "its network is gone"])
async def test_a_client_that_vanished_is_found_out_by_the_kernel_and_cancels(*, gone: bool) -> None:
    """Linux treats a window that stays closed as a peer that is silent."""
    told: list[int] = []
    async with watched(flooding(told)) as (running, address):
        asked = asyncio.get_running_loop().time()
        with taking_nothing(address) as client:
            await eventually(lambda: running.driver.exchanges()[-1:])
            await eventually(lambda: running.driver.exchanges()[-1].body_bytes > 0)
            if gone:
                deafen(client)
            await assert_timed_out(running, asked)
            await eventually(lambda: told == [CancelCode.CLIENT_GONE])


@pytest.mark.fault(27)
async def test_a_client_that_takes_nothing_has_stalled_if_its_kernel_was_not_quicker() -> None:
    told: list[int] = []
    async with gateway(
        flooding(told), timeout=60.0, timing=Timing(write_stall=USER_TIMEOUT)
    ) as running:
        with taking_nothing(("127.0.0.1", running.port)):
            await eventually(lambda: running.states == ["failed"])
            await eventually(lambda: told == [CancelCode.WRITE_STALL])


@pytest.mark.fault("30b")
async def test_a_client_that_vanished_from_a_quiet_stream_is_found_out_by_probes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = (("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 100))
    monkeypatch.setattr(sockets, "KEEPALIVE", seconds)

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        while peer.stream.cancelled is None:
            await peer.receive()
        peer.stream.reset(ResetCode.CANCELLED, "as told")
        await peer.flush()
        return peer.receipt()

    async with watched(function) as (running, address):
        asked = asyncio.get_running_loop().time()
        with socket.create_connection(address) as client:
            client.sendall(ASK)
            await eventually(lambda: running.states == ["streaming"])
            await asyncio.to_thread(client.recv, 65_536)  # the head: nothing is under way
            deafen(client)
            await assert_timed_out(running, asked)


@pytest.mark.fault("30b")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_client_that_vanished_is_given_up_after_write_stall(workers: int, tmp_path: Path) -> None:
    """What waits for it is no more than the kernel takes: only the kernel can tell."""
    config = tmp_path / "dialback.toml"
    config.write_text(f'[[routes]]\npath = "/"\ntarget = "local:{FUNCTIONS}:ticks"\n')
    env = {
        "DIALBACK_WRITE_STALL": "1",
        "DIALBACK_CALLBACK": "127.0.0.1:0",
        "GATE": str(tmp_path / "never"),
    }
    arguments = (f"--config={config}", f"--workers={workers}")
    with running_dialback(*arguments, command="serve", env=env) as dialback:
        host, port = dialback.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), PATIENCE) as client:
            client.sendall(ASK)
            assert client.recv(1)
            deafen(client)
            until(lambda: [one["state"] for one in dialback.exchanges()] == ["cancelled"])
