"""Who is measured: a server, how to ask it, and what it has done for it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from protocol.limits import DEFAULT_MAX_FRAME
from tests.benchmarks.client import Client
from tests.benchmarks.counts import Counts, children, counted, cpu_of_all, cpu_seconds
from tests.benchmarks.functions.uncoalesced import FRAME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.benchmarks.client import Exchange
    from tests.benchmarks.load import Round
    from tests.system.running import Dialback

Kind = Literal[
    "direct", "nginx", "uvicorn", "floor", "streamed", "buffered", "upload", "asgi", "uncoalesced"
]
"""What sort of server; those of dialback are named after the route that stands for them."""

SOLITARY: tuple[Kind, ...] = ("upload", "uncoalesced")
"""Routes that are asked for one long exchange at a time."""

WARM_FOR = 15.0
"""Seconds: a round takes up to ten more, and a callback that was parked for 45 is not used again."""

WARM_WITHIN = 90.0
"""Seconds that a hundred functions may need to start and to dial on two processors that others use as well."""

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
        """Start what is started only once, for so many requests at a time.

        Raises:
            NotStreamedError: that did not come about.
        """

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
        """Hold all functions at once until each has begun to answer: so every one is asked, and has dialled.

        One that is done before it has dialled answers inline, rightly, but then nothing is warm yet.

        Raises:
            NotStreamedError: one did not dial in time, or not at all.
        """
        lanes, came = range(at_once + SPARE), set[int]()
        with tempfile.TemporaryDirectory() as folder:
            gate = Path(folder, "gate")
            asked = [asyncio.create_task(self._hold(gate, came, lane)) for lane in lanes]
            until = time.monotonic() + WARM_WITHIN
            while (begun := self.begun(len(came), gate)) < len(lanes):
                if any(one.done() for one in asked) or time.monotonic() > until:
                    break
                await asyncio.sleep(0.01)
            gate.touch()
            whole = sum(one.whole for one in await asyncio.gather(*asked))
        if begun < len(lanes) or whole < len(lanes):
            raise NotStreamedError(f"{self.name}: {begun} functions of {len(lanes)} were warm")

    async def _hold(self, gate: Path, came: set[int], lane: int) -> Exchange:
        """Ask for a response that lasts until the gate is there; note when it has begun."""
        work, timeout = f"held?gate={gate}", 2 * WARM_WITHIN
        return await self.client.fetch_once(
            work, timeout=timeout, on_data=lambda data: came.add(lane)
        )

    def begun(self, came: int, gate: Path) -> int:
        """How many of the functions that are held have begun, if so many responses have."""
        return came

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
    def begun(self, came: int, gate: Path) -> int:
        if self.kind != "buffered":
            return came
        # Of their answers nothing comes before the end, so each leaves a note.
        return sum(1 for _ in gate.parent.iterdir())

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
