"""Who is measured: a server, how to ask it, and what it has done for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from protocol.limits import DEFAULT_MAX_FRAME
from tests.benchmarks.client import Client
from tests.benchmarks.counts import Counts, children, counted, cpu_of_all, cpu_seconds
from tests.benchmarks.functions.uncoalesced import FRAME
from tests.benchmarks.load import first_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.benchmarks.load import Round
    from tests.system.running import Dialback

Kind = Literal[
    "direct", "nginx", "uvicorn", "floor", "streamed", "buffered", "upload", "asgi", "uncoalesced"
]
"""What sort of server; those of dialback are named after the route that stands for them."""

SOLITARY: tuple[Kind, ...] = ("upload", "uncoalesced")
"""Routes that are asked for one long exchange at a time."""

WARM_MS = 200
"""So long a function stays while it is warmed up: time enough to dial for the first time."""

WARM_FOR = 15.0
"""Seconds: a measure takes up to 25 more, and a callback that was parked for 45 is not used again."""

WARM_UPS = 10
"""So often at most: a hundred functions on two processors take two or three."""

SPARE = 4
"""Functions more than requests at a time: one that has just answered is not free at once, and a
function that is started in the middle of a round would answer its first request inline."""


class NotStreamedError(Exception):
    """A response took another way than its contender stands for: the figure would be of something else."""


class Contender:
    """A server under test.

    Attributes:
        name: as the tables have it.
        kind: what sort of server it is; measures say which kinds they are for.
        client: asks it.
        pid: of its process; whatever that has started counts as the same server.
    """

    def __init__(self, name: str, kind: Kind, base: str, pid: int) -> None:
        self.name = name
        self.kind = kind
        self.client = Client(base)
        self.pid = pid

    async def warm_up(self, at_once: int) -> None:
        """Start what is started only once, for so many requests at a time."""

    async def take(self, run: Callable[[Client], Awaitable[Round]]) -> Round:
        """Run one round, with what the server did for it.

        Raises:
            NotStreamedError: a response took the wrong way.
        """
        counters, cpu = await self.counters(), self.cpu()
        found = await run(self.client)
        # In this order: to be asked for its counters costs a gateway CPU time.
        cpu = self.cpu() - cpu
        found.counts = await self.counters() - counters + cpu
        self.check(found.counts, found)
        return found

    def cpu(self) -> Counts:
        """What it has used so far."""
        return Counts(server_cpu=cpu_of_all([self.pid, *children(self.pid)]))

    async def counters(self) -> Counts:
        """What it has counted itself so far."""
        return Counts()

    def check(self, done: Counts, found: Round) -> None:
        """Judge by the server's own counters whether a round measured what it says.

        Raises:
            NotStreamedError: it did not.
        """


class Fronting(Contender):
    """A server whose children are the functions, which dial when they are called for the first time."""

    def __init__(self, name: str, kind: Kind, base: str, pid: int) -> None:
        super().__init__(name, kind, base, pid)
        self._warm: dict[int, float] = {}

    @override
    async def warm_up(self, at_once: int) -> None:
        if self.kind in SOLITARY:
            return  # one request at a time, and each of them dials while it goes
        if time.monotonic() - self._warm.get(at_once, -WARM_FOR) < WARM_FOR:
            return
        await self._warm_up(at_once)
        self._warm[at_once] = time.monotonic()

    async def _warm_up(self, at_once: int) -> None:
        """Let every function dial; one that needs too long for that answers inline, and is asked again.

        Raises:
            NotStreamedError: some still do.
        """
        lanes = at_once + SPARE
        for _ in range(WARM_UPS):
            before, functions = await self.counters(), children(self.pid)
            found = await first_bytes(
                self.client, requests=2 * lanes, at_once=lanes, stay_ms=WARM_MS
            )
            done = await self.counters() - before
            # One that is started meanwhile may not have been asked, and would be the first to be asked next.
            asked = children(self.pid) == functions
            if asked and found.whole == 2 * lanes and self.have_dialled(done, found):
                return
        raise NotStreamedError(f"{self.name}: not warm after {WARM_UPS} times {2 * lanes} requests")

    def have_dialled(self, done: Counts, found: Round) -> bool:
        """Whether every response of a round tells that its function has dialled."""
        return True

    @override
    def cpu(self) -> Counts:
        functions = cpu_of_all(children(self.pid))
        return Counts(server_cpu=cpu_seconds(self.pid), functions_cpu=functions)


class Gateway(Fronting):
    """dialback, whose counters tell which way each response took."""

    def __init__(self, name: str, kind: Kind, dialback: Dialback) -> None:
        super().__init__(name, kind, f"{dialback.url}/{kind}", dialback.pid)
        self._dialback = dialback

    @override
    def have_dialled(self, done: Counts, found: Round) -> bool:
        return self.kind == "buffered" or done.frames >= found.whole

    @override
    async def counters(self) -> Counts:
        return counted(await asyncio.to_thread(self._dialback.metrics), f"/{self.kind}")

    @override
    def check(self, done: Counts, found: Round) -> None:
        """Every response brought at least a frame, and all bytes fit into the frames; or none did.

        For the tiny responses, which are one chunk each, that means: every single one.
        """
        name = (
            f"{self.name}: {found.whole} responses, {found.amount} bytes, {done.frames:.0f} frames"
        )
        if self.kind == "buffered":
            if done.frames:
                raise NotStreamedError(f"{name}: streamed, and should not be")
        elif done.frames < max(found.whole, self._least_frames(found.amount)):
            raise NotStreamedError(f"{name}: not everything came over the callback")

    def _least_frames(self, amount: int) -> float:
        """How many frames bring so many bytes at least."""
        if self.kind == "upload":  # they went the other way, and too large for an event
            return 0
        return amount / (FRAME if self.kind == "uncoalesced" else DEFAULT_MAX_FRAME)
