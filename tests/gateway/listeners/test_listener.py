"""The listeners of a gateway that runs out of descriptors, and of one that many come to at once."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from gateway import listener as listener_module
from gateway.listener import ACCEPTS_PER_TURN, Listener
from tests.gateway.exchange.asking import eventually
from tests.settling import settle

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kept(asyncio.Protocol):
    """A connection that stays."""

    made: list[asyncio.Transport]

    @override
    def connection_made(self, transport: Any) -> None:
        self.made.append(transport)


@contextmanager
def few_descriptors(count: int) -> Iterator[None]:
    """Let this process open so many more, and no others."""
    gc.collect()  # what earlier tests have left is closed now, and not in between
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    fillers = [os.dup(0)]
    while fillers[-1] < highest:  # nothing is free below
        fillers.append(os.dup(0))
    first = fillers.pop()
    os.close(first)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first + count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for filler in fillers:
            os.close(filler)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as one:
        yield one


@pytest.mark.fault(66)
@pytest.mark.parametrize("spared", [8, 0], ids=["some are spared", "the last is taken"])
async def test_accepting_pauses_while_descriptors_are_short_and_goes_on_after(
    spared: int,
    listening: socket.socket,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener_module, "SPARE_SHARE", 1)  # however many are open already
    monkeypatch.setattr(listener_module, "SPARE_MAX", spared)
    made: list[asyncio.Transport] = []
    kept = type("Kept", (Kept,), {"made": made})
    scarce: list[int] = []
    clients = [socket.socket() for _ in range(40)]
    with few_descriptors(24):
        listener = Listener("test", listening, kept, lambda: scarce.append(len(made)))
        try:
            for client in clients:
                client.connect(listening.getsockname())
            await eventually(lambda: len(scarce) > 3)
            assert 0 < len(made) <= 24 - spared + 1
            if spared:
                os.close(os.dup(0))  # for others some are left
            assert len(caplog.records) == 1  # one line for each pause, not for each look
            for transport in made:
                transport.abort()
            before = len(made)
            await eventually(lambda: len(made) > before)
        finally:
            listener.close()
            for one in clients:
                one.close()
            for transport in made:
                transport.abort()
            await settle()


async def test_a_crowd_is_taken_a_few_at_a_time_so_that_others_have_their_turn(
    listening: socket.socket,
) -> None:
    made: list[asyncio.Transport] = []
    kept = type("Kept", (Kept,), {"made": made})
    clients = [socket.create_connection(listening.getsockname()) for _ in range(200)]
    listener = Listener("test", listening, kept, lambda: None)
    steps = [0]
    while len(made) < len(clients):
        await asyncio.sleep(0)
        steps.append(len(made))
    listener.close()
    assert max(b - a for a, b in pairwise(steps)) <= ACCEPTS_PER_TURN
    for client in clients:
        client.close()
    for transport in made:
        transport.abort()
    await settle()
