"""How long the first answer of a new function takes, and how much of it is importing the library."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.benchmarks import sections
from tests.benchmarks.results import Row

if TYPE_CHECKING:
    from tests.benchmarks.client import Client
    from tests.benchmarks.contenders import Contender
    from tests.benchmarks.results import Results

COLD = Row(sections.STARTING, "first byte of a cold function, p50", "ms")

IMPORTS = {
    "import lambda_client": "import lambda_client",
    "import lambda_client, and what its first dial needs": "import lambda_client, lambda_client.pump",
    "import asyncio, for comparison": "import asyncio",
    "import http.client, for comparison": "import http.client",
}

SPACING = 0.3
"""Seconds between two cold starts: each has the processors for itself (a start takes some 100 ms)."""


async def cold_starts(contender: Contender, results: Results, *, starts: int) -> None:
    """Ask for one function more each time, while all that were asked are kept busy.

    The first request is not counted: a gateway starts one function ahead.
    """
    stay = (starts + 2) * SPACING
    asked = []
    for _ in range(starts + 1):
        asked.append(asyncio.create_task(_first_byte(contender, stay)))
        await asyncio.sleep(SPACING)
    times = await asyncio.gather(*asked)
    results.put(COLD, contender.name, statistics.median(times[1:]) * 1000)


async def _first_byte(contender: Contender, stay: float) -> float:
    client: Client = contender.client
    exchange = await client.fetch_once(f"tiny?stay={stay * 1000:.0f}")
    assert exchange.whole, exchange.outcome
    # A buffered answer comes when the function is done, so what it stayed is taken away.
    return exchange.first_at - exchange.sent - (stay if contender.kind == "buffered" else 0)


def imports(results: Results, *, times: int) -> None:
    """Processes that import, beside one that does not, in turn: the difference of the medians."""
    found: dict[str, list[float]] = {code: [] for code in ("pass", *IMPORTS.values())}
    for _ in range(times):
        for code, seconds in found.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
            seconds.append(time.perf_counter() - start)
    nothing = statistics.median(found["pass"])
    for name, code in IMPORTS.items():
        net = (statistics.median(found[code]) - nothing) * 1000
        results.put(Row(sections.STARTING, name, "ms"), "dialback", net)
