"""cuts: a large download whose callback is cut at random bytes."""

from __future__ import annotations

import asyncio
import hashlib
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING

from tests.benchmarks.load import percentile
from tests.faults.kinds import CLOSE, RESET, UP, Point
from tests.soak.attaches import ResumeWatch
from tests.soak.content import Content
from tests.soak.figures.figure import Figure, Found, at_most, exactly
from tests.soak.report import Report
from tests.soak.strict import Broken, request
from tests.soak.world import World, running_world

if TYPE_CHECKING:
    from tests.faults.kinds import Struck

TOTAL = 200 << 20
CUTS = 20
STREAMS = 5
FUNCTION = "tests/soak/functions.py:handler"

HOW = """\
{streams} downloads of {mib} MiB, each cut {cuts} times at random bytes of the callback, half of them by
RST, half by FIN. The time of a resume is from the cut until the client gets its first byte after the
gateway has said ATTACHED on the next connection; beside it the time until that ATTACHED. Gateway,
function, proxy and client share the machine's processors, and the proxy and client are Python."""


@dataclass
class Cuts:
    """What was found.

    Attributes:
        streams: downloads.
        equal: of them with the SHA-256 that they should have.
        landed: cuts that took place.
        attached: seconds from a cut to ATTACHED.
        resumed: seconds from a cut to the client's next byte after that.
    """

    streams: int = 0
    equal: int = 0
    landed: int = 0
    attached: list[float] = field(default_factory=list)
    resumed: list[float] = field(default_factory=list)


async def run(*, total: int = TOTAL, cuts: int = CUTS, streams: int = STREAMS) -> Cuts:
    """Download and cut."""
    found = Cuts()
    chance = random.Random(total)
    async with running_world(FUNCTION, concurrency=1) as world, asyncio.TaskGroup() as group:
        watch = ResumeWatch(world.proxy, Report())
        watching = group.create_task(watch.keep_watching())
        for number in range(streams):
            await _one(world, watch, found, Content(number, total), _points(chance, total, cuts))
        watching.cancel()
    return found


def _points(chance: random.Random, total: int, cuts: int) -> list[Point]:
    """One cut for each connection in turn, so many bytes after the last one."""
    offsets = [0, *sorted(chance.randrange(1, total) for _ in range(cuts))]
    return [
        Point(UP, max(1, after - before), chance.choice([RESET, CLOSE]), upgraded=True)
        for before, after in pairwise(offsets)
    ]


async def _one(
    world: World, watch: ResumeWatch, found: Cuts, content: Content, points: list[Point]
) -> None:
    proxy = world.proxy
    proxy.strike(CLOSE)  # what is parked has no plan: let the function dial
    await proxy.until(lambda: not proxy.open_connections)
    struck = len(proxy.faults)
    for point in points:
        proxy.plan(point)
    digest, arrivals = hashlib.sha256(), []
    try:
        async with request(f"{world.dialback.url}/down?{_query(content)}") as response:
            async for data in response.body():
                arrivals.append(monotonic())
                digest.update(data)
    except Broken:
        digest.update(b"broken off")
    proxy.forget_plans()
    found.streams += 1
    found.equal += digest.hexdigest() == content.sha256()
    for cut in proxy.faults[struck:]:
        found.landed += 1
        _measure(cut, watch, arrivals, found)


def _measure(cut: Struck, watch: ResumeWatch, arrivals: list[float], found: Cuts) -> None:
    attached = next((at for at in watch.attached_at if at > cut.at), None)
    if attached is None:
        return
    found.attached.append(attached - cut.at)
    place = bisect_right(arrivals, attached)
    if place < len(arrivals):
        found.resumed.append(arrivals[place] - cut.at)


def _query(content: Content) -> str:
    return f"seed={content.seed}&total={content.total}"


async def measure() -> Found:
    """Take the figure at its full size."""
    found = await run()
    wanted = STREAMS * CUTS
    resumed, attached = found.resumed or [float("inf")], found.attached or [float("inf")]
    return Found(
        "Cuts",
        HOW.format(streams=STREAMS, mib=TOTAL >> 20, cuts=CUTS),
        [
            exactly("downloads with an equal SHA-256", found.equal, STREAMS),
            exactly("cuts that took place", found.landed, wanted),
            at_most("resume, p95", percentile(resumed, 95) * 1000, 300, "ms"),
            Figure(
                "resumes that were measured",
                f"{wanted}",
                f"{len(found.resumed)}",
                reached=len(found.resumed) == wanted,
            ),
        ],
        [
            f"resume: p50 {percentile(resumed, 50) * 1000:.1f} ms,"
            f" longest {max(resumed) * 1000:.1f} ms",
            f"until ATTACHED: p50 {percentile(attached, 50) * 1000:.1f} ms,"
            f" p95 {percentile(attached, 95) * 1000:.1f} ms",
        ],
    )
