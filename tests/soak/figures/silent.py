"""silent: a function that is called, and never dials back."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.soak.figures.figure import Figure, Found, at_least, exactly
from tests.soak.report import listed
from tests.soak.strict import Broken, request
from tests.soak.world import World, running_world

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS = 10_000
LANES = 32
CONCURRENCY = 8

FUNCTION = "tests/soak/figures/functions.py:handler"
FUNCTION_SECONDS = 3.0
"""The function tries to dial for a third of it."""

HOW = """\
{requests:,} requests, {lanes} at a time, for a function whose every dial is refused (ECONNREFUSED). The function itself
counts its invocations by the request that each is for; the gateway's metric says how often the breaker opened."""


@dataclass
class Silent:
    """What was found.

    Attributes:
        answers: responses by status; 0 for one that broke.
        invocations: of the function, as it counted them.
        twice: requests for which it was invoked more than once.
        openings: of the breaker, as the gateway counted them.
        attached: functions that attached, which none should.
    """

    answers: Counter[int] = field(default_factory=Counter)
    invocations: int = 0
    twice: int = 0
    openings: int = 0
    attached: int = 0


async def run(*, requests: int = REQUESTS) -> Silent:
    """Ask."""
    found = Silent()
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder, "notes")
        notes.touch()
        async with running_world(
            FUNCTION,
            concurrency=CONCURRENCY,
            function_seconds=FUNCTION_SECONDS,
            env={"NOTES": str(notes)},
        ) as world:
            world.proxy.close_listener()
            todo = iter(range(requests))
            await asyncio.gather(*(_lane(world, todo, found) for _ in range(LANES)))
            await asyncio.to_thread(_read_metrics, world, found)
        invoked = Counter(line.split()[0] for line in notes.read_text().splitlines())
        found.invocations = sum(invoked.values())
        found.twice = sum(1 for times in invoked.values() if times > 1)
    return found


async def _lane(world: World, todo: Iterator[int], found: Silent) -> None:
    for number in todo:
        try:
            async with request(f"{world.dialback.url}/silent?id={number}") as response:
                await response.read()
                found.answers[response.status] += 1
        except Broken:
            found.answers[0] += 1


def _read_metrics(world: World, found: Silent) -> None:
    found.openings = int(world.dialback.metric("dialback_breaker_openings_total"))
    found.attached = int(world.dialback.metric("dialback_attaches_total", result="accepted"))


async def measure() -> Found:
    """Take the figure at its full size."""
    found = await run()
    answers = {f"of {status}": times for status, times in found.answers.items()}
    return Found(
        "Silent",
        HOW.format(requests=REQUESTS, lanes=LANES),
        [
            Figure(
                f"invocations for {REQUESTS:,} requests",
                f"at most {REQUESTS:,}",
                f"{found.invocations:,}",
                reached=0 < found.invocations <= REQUESTS,
            ),
            exactly("requests that invoked twice", found.twice, 0),
            at_least("openings of the breaker", found.openings, 1),
            exactly("answers", sum(found.answers.values()), REQUESTS),
        ],
        [f"answers {listed(answers)}", f"callbacks that attached: {found.attached}"],
    )
