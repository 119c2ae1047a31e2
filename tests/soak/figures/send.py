"""send: how soon what an ASGI application sends leaves the function, and reaches the client."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.soak.figures.figure import Found, at_most, exactly
from tests.system.running import running_dialback

ROUNDS = 500
FUNCTION = "tests/soak/figures/send_function.py:handler"

HOW = """\
{rounds} requests, one after the other, to a warm ASGI application that streams. The time is from its call of
`send` with the first body bytes until the kernel has taken bytes from the function's socket; and, beside it,
until the client's socket had them, with the gateway between. The application then waits for its next piece, or
computes, which would keep the interpreter from another thread for up to its switch interval of 5 ms."""


@dataclass
class Sent:
    """Seconds from the first `send`.

    Attributes:
        left: until bytes left the function.
        arrived: until the client had them.
    """

    left: list[float] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)


async def run(*, rounds: int = ROUNDS, path: str = "/") -> Sent:
    """Ask so many times."""
    return await asyncio.to_thread(_run, rounds, path)


def _run(rounds: int, path: str) -> Sent:
    found = Sent()
    with running_dialback(FUNCTION, "--concurrency=1") as dialback:
        client = http.client.HTTPConnection(urlsplit(dialback.url).netloc, timeout=20)
        for _ in range(rounds + 1):
            client.request("GET", path)
            response = client.getresponse()
            first = response.read1(6)
            arrived = time.monotonic_ns()
            assert first == b"first;"
            sent, left = map(int, response.read().split(b";"))
            found.left.append((left - sent) / 1e9)
            found.arrived.append((arrived - sent) / 1e9)
        client.close()
    del found.left[0], found.arrived[0]  # the one that dialled
    return found


async def measure() -> Found:
    """Take the figure at its full size."""
    found, busy = await run(), await run(path="/busy")

    def told(name: str, times: list[float]) -> str:
        ordered = sorted(times)
        p99 = ordered[int(len(ordered) * 0.99)]
        return f"{name}: p50 {statistics.median(times) * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"

    return Found(
        "Send",
        HOW.format(rounds=ROUNDS),
        [
            at_most(
                "send to the function's kernel, p50", statistics.median(found.left) * 1000, 1, "ms"
            ),
            exactly("answers", len(found.left), ROUNDS),
        ],
        [
            told("left the function", found.left),
            told("reached the client", found.arrived),
            told("left a function that computes on", busy.left),
        ],
    )
