"""A client that is gone without a word: no FIN, no RST, no acknowledgement."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from gateway.edge.server import EdgeServer
from gateway.sockets import watch_peers
from gateway.timing import Timing
from protocol.errors import CancelCode, ResetCode
from tests.gateway.exchange.asking import eventually
from tests.gateway.exchange.peer import gateway
from tests.settling import settle

if TYPE_CHECKING:
    from tests.gateway.exchange.peer import Peer

USER_TIMEOUT = 1.0
"""Seconds; the gateway's own is minutes."""


@pytest.mark.fault("30b")
async def test_a_client_that_vanished_is_found_out_by_the_kernel_and_cancels() -> None:
    """Loopback loses nothing, but Linux treats a window that stays closed as a peer that is silent."""
    told: list[int] = []

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

    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    watch_peers(listener, USER_TIMEOUT)
    async with gateway(function, timeout=60.0) as running:
        edge = EdgeServer(running.handler, running.telemetry, Timing())
        async with await loop.create_server(edge, sock=listener):
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(listener.getsockname())
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await eventually(lambda: running.driver.exchanges()[-1:])
                await eventually(lambda: running.driver.exchanges()[-1].body_bytes > 0)
                assert running.states == ["streaming"]
                began = loop.time()
                await eventually(lambda: running.states == ["cancelled"])
                assert loop.time() - began > USER_TIMEOUT / 2  # it was the timer, and no FIN
                await eventually(lambda: told == [CancelCode.CLIENT_GONE])
            await edge.shutdown(1)
            await settle()
