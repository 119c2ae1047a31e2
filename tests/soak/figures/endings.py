"""endings: everything that can go wrong behind the head, and what strict clients make of it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.kinds import RESET
from tests.soak.figures import breaking, hand
from tests.soak.figures.bodies import FRAMINGS, Wanted
from tests.soak.figures.figure import Found, at_least, exactly
from tests.soak.figures.judges import JUDGES, Judged, judge
from tests.soak.figures.verdicts import Endings
from tests.soak.report import listed
from tests.soak.world import World, running_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

FAULTS = 500
BATCH = 10
CUTS_FOR_GOOD, GATEWAYS_KILLED = 3, 5
"""Batches of streams that share one fault."""

LANES = 8
TOTAL = (2_000, 200_000)
"""Bytes of a body; all of it fits the first window, so that a peer by hand needs no credit."""

FUNCTION = "tests/soak/figures/breaking.py:handler"
FUNCTION_SECONDS = 6.0
NOTES = "notes"
TIMING = {"resume_grace": 5.0}
"""Seconds: what is lost for good is given up sooner than usual. The function does so after a third of the time that it
has left, so its receipt is awaited for three seconds more."""

BY_ITSELF = (*breaking.BAD, *hand.KINDS)
SIGNALS = {"killed": signal.SIGKILL, "frozen-for-good": signal.SIGSTOP}
KINDS = (*BY_ITSELF, *SIGNALS, "beyond-its-deadline")
LONG = {"frozen-for-good", "beyond-its-deadline"}
"""These take the function's whole time: they come more seldom."""

HOW = """\
{faults} responses, each hit by one fault at a random byte behind its head, drawn from {kinds} kinds: functions that
raise, exit, are killed, frozen or out of time, that end short of their Content-Length, RESET with every code, peers
that break the protocol by hand (wrong CRC, wrong length, gap, bytes beyond the credit, other bytes after a resume,
malformed and text messages, false receipts), callbacks cut for good, and the gateway itself killed by SIGKILL.
Framed by chunks, by Content-Length, by the end of the connection (HTTP/1.0), or as server-sent events; judged in turn
by a client of our own, by curl (exit code 0) and by aiohttp (no exception; not of HTTP/1.0, where its client takes a
reset for an end). Falsely complete is a clean end of a body that is not whole."""


class Scene:
    """Asks for responses, and lets things happen to them."""

    def __init__(self, world: World, folder: Path, chance: random.Random, found: Endings) -> None:
        self._world = world
        self._folder = folder
        self._chance = chance
        self._found = found
        self._count = 0

    async def one(self, kind: str) -> None:
        """One response, and a fault of its own."""
        number = SIGNALS.get(kind)
        path = kind if kind in BY_ITSELF else "lasts"
        await self.strike(kind, [path], partial(self._signal, number) if number else _nothing)

    async def strike(
        self, kind: str, paths: Sequence[str], fault: Callable[[list[Wanted]], object]
    ) -> None:
        """Ask for responses, let `fault` happen once all have begun, and judge them all."""
        base = self._world.dialback.url
        wanted = [self._wanted(path) for path in paths]
        names = [self._judge(one) for one in wanted]
        judged = [Judged() for _ in paths]
        async with asyncio.TaskGroup() as group:
            for path, name, one, result in zip(paths, names, wanted, judged, strict=True):
                url = f"{base}/{path}?{one.query()}"
                http10 = one.framing == "until-close"
                group.create_task(judge(name, url, result, http10=http10))
            for result in judged:
                await result.begun.wait()
            for one in wanted:
                one.let_go(self._folder)
            fault(wanted)
        for name, one, result in zip(names, wanted, judged, strict=True):
            self._found.add(kind, name, one, result)

    async def cut_for_good(self) -> None:
        """Connections are cut and none comes back; what has been written by then comes in the receipt."""
        proxy = self._world.proxy

        def cut(_: list[Wanted]) -> None:
            proxy.refuse()
            proxy.strike(RESET)

        await self.strike("cut-for-good", ["lasts", "finishes"] * (BATCH // 2), cut)
        proxy.refuse(refusing=False)

    async def kill_gateway(self) -> None:
        """The gateway itself goes, without a word."""
        pid = self._world.dialback.pid
        await self.strike(
            "gateway-killed", ["lasts"] * BATCH, lambda _: os.kill(pid, signal.SIGKILL)
        )

    def _judge(self, wanted: Wanted) -> str:
        """Who judges; aiohttp's client takes a reset for a clean end where the connection's is the end."""
        fit = [name for name in JUDGES if name != "aiohttp" or wanted.framing != "until-close"]
        return self._chance.choice(fit)

    def _wanted(self, path: str) -> Wanted:
        chance, framing = self._chance, self._chance.choice(FRAMINGS)
        self._count += 1
        total = chance.randint(*TOTAL)
        if path == "short":
            framing = "sized"  # nothing else tells that more was promised
        return Wanted(
            str(self._count), chance.getrandbits(31), total, chance.randrange(1, total - 1), framing
        )

    def _signal(self, number: signal.Signals, wanted: list[Wanted]) -> None:
        """Send a signal to the function that makes this response; its note says which it is."""
        notes = (self._folder / NOTES).read_text()
        lines = [line.split() for line in notes.splitlines()]
        [pid] = [int(line[2]) for line in lines if line[:2] == [wanted[0].name, "by"]]
        os.kill(pid, number)


@asynccontextmanager
async def scene(chance: random.Random, found: Endings, concurrency: int) -> AsyncIterator[Scene]:
    """A gateway with the functions that end badly."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_world(
            FUNCTION,
            concurrency=concurrency,
            function_seconds=FUNCTION_SECONDS,
            env={"FOLDER": folder, "NOTES": str(Path(folder, NOTES))},
            timing=TIMING,
        ) as world:
            yield Scene(world, Path(folder), chance, found)


async def run(
    *,
    faults: int = FAULTS,
    gateways: int = GATEWAYS_KILLED,
    cuts: int = CUTS_FOR_GOOD,
    seed: int = 1,
) -> Endings:
    """Strike until so many faults have struck behind the head."""
    found, chance = Endings(), random.Random(seed)
    for _ in range(gateways):
        async with scene(chance, found, BATCH) as place:
            await place.kill_gateway()
    async with scene(chance, found, max(BATCH, LANES)) as place:
        for _ in range(cuts):
            await place.cut_for_good()
        kinds = _kinds(chance)

        async def lane() -> None:
            while found.faults < faults:
                await place.one(next(kinds))

        await asyncio.gather(*(lane() for _ in range(LANES)))
    return found


def _nothing(wanted: list[Wanted]) -> None:
    """The function itself sees to its end."""


def _kinds(chance: random.Random) -> Iterator[str]:
    """Kinds in random order, each as often as the others, but for those that take long."""
    while True:
        round_of_kinds = [kind for kind in KINDS if kind not in LONG] * 3 + sorted(LONG)
        chance.shuffle(round_of_kinds)
        yield from round_of_kinds


async def measure() -> Found:
    """Take the figure at its full size."""
    found = await run()
    return Found(
        "Endings",
        HOW.format(faults=FAULTS, kinds=len(KINDS) + 2),
        [
            exactly("responses falsely complete", sum(found.false.values()), 0),
            exactly("responses with a wrong byte", sum(found.wrong.values()), 0),
            exactly("responses without an end", sum(found.hung.values()), 0),
            at_least("faults behind the head", found.faults, FAULTS),
        ],
        [
            f"visibly broken {sum(found.broken.values())}, whole in spite of it"
            f" {sum(found.whole.values())} ({listed(found.whole) or 'none'})",
            f"struck before the head and not counted: {listed(found.early) or 'none'}",
            *found.lines,
        ],
    )
