"""Two machines and the connections between them: the smallest simulation."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import TYPE_CHECKING

from typing_extensions import override

from tests.simulation.loop import Scheduler, VirtualLoop
from tests.simulation.network import Listener, Network

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

AT = ("there", 1)


class Sink(asyncio.Protocol):
    """Keeps what comes, and how it ends."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.eof = False
        self.end: Exception | str | None = "open"
        self.pauses = 0
        self.transport: asyncio.Transport

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self.data += data

    @override
    def eof_received(self) -> None:
        self.eof = True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.end = exc

    @override
    def pause_writing(self) -> None:
        self.pauses += 1


class Pair:
    """Two machines and a connection between them."""

    def __init__(self, seed: int = 1) -> None:
        chance = random.Random(seed)
        self.scheduler = Scheduler(chance)
        self.network = Network(self.scheduler, chance)
        self.here, self.there = self.scheduler.loop("here"), self.scheduler.loop("there")
        self.here.network = self.network
        self.accepted: list[Sink] = []
        self.listener = Listener(self.there, self._accept, 30.0)
        self.network.listen(AT, self.listener)

    def _accept(self) -> Sink:
        self.accepted.append(Sink())
        return self.accepted[-1]

    def do(self, job: Coroutine[Any, Any, Any], loop: VirtualLoop | None = None) -> Any:
        task = (loop or self.here).create_task(job)
        self.scheduler.run(task.done, 10_000, "the job")
        return task.result()

    def dial(self) -> Sink:
        _, near = self.do(self.network.connect(self.here, AT, Sink))
        assert isinstance(near, Sink)
        return near

    def connect(self) -> tuple[Sink, Sink]:
        near = self.dial()
        self.scheduler.run(lambda: bool(self.accepted), 1, "accepted")
        return near, self.accepted[-1]

    def until(self, done: Any, seconds: float = 1000.0) -> None:
        self.scheduler.run(done, seconds, "it")

    def errors(self) -> list[str]:
        """What went wrong where nobody looked, garbage included."""
        gc.collect()
        return self.scheduler.problems
