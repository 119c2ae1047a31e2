"""The network of a simulation: who listens where, every connection there is, and the dice they use."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.loop import FIRST_DESCRIPTOR
from tests.simulation.wire import Wire

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.simulation.loop import Scheduler, VirtualLoop
    from tests.simulation.wire import Address, Endpoint


@dataclass
class Listener:
    """Who listens somewhere.

    Attributes:
        loop: where its connections live.
        factory: of their protocols.
        user_timeout: what its sockets inherit.
        refuse: what dialling it comes to now: a way to fail, or None.
    """

    loop: VirtualLoop
    factory: Callable[[], asyncio.BaseProtocol]
    user_timeout: float
    refuse: OSError | str | None = None


class Network:
    """All wires of a simulation.

    Attributes:
        clock: the loop on which bytes travel; nobody freezes it.
        wires: every connection there was, oldest first.
        on_wire: called with each new one.
    """

    def __init__(self, scheduler: Scheduler, chance: random.Random) -> None:
        self.clock = scheduler.loop("net")
        self.chance = chance
        self.wires: list[Wire] = []
        self.listeners: dict[Address, Listener] = {}
        self.on_wire: Callable[[Wire], None] = lambda _: None
        self._scheduler = scheduler
        self._descriptors = FIRST_DESCRIPTOR
        self._thawing: dict[VirtualLoop, list[Callable[[], object]]] = {}
        self._latency = chance.choice((0.0, 0.0005, 0.01, 0.08))
        self._jitter = self._latency * chance.choice((0.0, 0.2, 3.0))
        self._whole = chance.choice((0.0, 0.5, 0.9, 1.0))

    def listen(self, address: Address, listener: Listener) -> None:
        """Let connections to an address come to a listener."""
        self.listeners[address] = listener

    async def connect(
        self, loop: VirtualLoop, address: Address, factory: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Open a connection, with a transport of asyncio's.

        Raises:
            OSError: nobody listens there, or it is refused.
        """
        end = await self.open(loop, address)
        protocol, opened = factory(), loop.create_future()
        transport = _transport(end, protocol, opened)
        try:
            await opened
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def open(self, loop: VirtualLoop, address: Address) -> Endpoint:
        """Connect a socket.

        Raises:
            OSError: nobody listens there, or it is refused.
        """
        await asyncio.sleep(2 * self.latency())
        listener = self.listeners.get(address)
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {address}")
        if isinstance(listener.refuse, OSError):
            raise listener.refuse
        if listener.refuse is not None:
            await loop.create_future()  # no answer at all
        wire = Wire(self, loop, listener.loop)
        wire.server.keepalive, wire.server.user_timeout = True, listener.user_timeout
        self.wires.append(wire)
        listener.loop.call_soon(self._accept, listener, wire.server)
        self.on_wire(wire)
        return wire.client

    def _accept(self, listener: Listener, end: Endpoint) -> None:
        _transport(end, listener.factory(), None)

    def when_thawed(self, loop: VirtualLoop, job: Callable[[], object]) -> None:
        """Hold something until a frozen loop goes on."""
        self._thawing.setdefault(loop, []).append(job)

    def freeze(self, loop: VirtualLoop) -> None:
        """Stop a machine: its loop, and its kernel."""
        loop.frozen = True
        for wire in self.wires:
            if wire.open and loop in (wire.client.loop, wire.server.loop):
                wire.silence()

    def thaw(self, loop: VirtualLoop) -> None:
        """Let it go on: what waited for it arrives."""
        loop.frozen = False
        for job in self._thawing.pop(loop, []):
            job()

    # ------------------------------------------------------------ dice

    def piece(self, available: int) -> int:
        """How many of the bytes that arrived one read returns."""
        if self.chance.random() < self._whole:
            return available
        if self.chance.random() < 0.3:
            return min(available, self.chance.randint(1, 16))
        return self.chance.randint(1, available)

    def latency(self) -> float:
        return self._latency

    def jitter(self) -> float:
        return self._jitter * self.chance.random() if self._jitter else 0.0

    def capacity(self) -> int:
        return self.chance.choice((4, 16, 64, 256)) * 1024

    def next_descriptor(self) -> int:
        self._descriptors += 1
        return self._descriptors

    def note(self, who: str, what: str) -> None:
        self._scheduler.note(who, what)


def _transport(
    end: Endpoint, protocol: asyncio.BaseProtocol, opened: asyncio.Future[None] | None
) -> asyncio.Transport:
    """Let asyncio's own transport use an endpoint as its socket."""
    made: Any = end.loop._make_socket_transport(end, protocol, opened)  # type: ignore[attr-defined]
    made._extra["socket"] = end.view
    return made  # type: ignore[no-any-return]
