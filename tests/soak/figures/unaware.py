"""unaware: what the gateway adds to a function that knows nothing of it."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

from tests.soak.figures.figure import Figure, Found, exactly
from tests.system.running import REPOSITORY, running_dialback

ROUNDS = 2000
WARM = 50
ADDED_MAX = 0.001

FILE = "tests/soak/figures/functions.py"
NAME = "functions-unaware"
FUNCTION = f"{FILE}:unaware"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-figure",
    "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}

ROUTE = """
[gateway]
log_level = "error"

[[routes]]
path = "/"
target = "aws:{name}"
endpoint = "{endpoint}"
"""

HOW = """\
One gateway's emulated Lambda stands for AWS: its Invoke API runs a function that returns at once, in a real worker. Another
gateway in front calls it by signed HTTP. {rounds} times, in turns and one after the other, a client asks the gateway in
front, and posts the same event to the Invoke API itself; both over a connection that is kept."""


@dataclass
class Calls:
    """Seconds from the request to the end of the response.

    Attributes:
        direct: of the Invoke API.
        through: with the gateway in front of it.
    """

    direct: list[float] = field(default_factory=list)
    through: list[float] = field(default_factory=list)

    @property
    def added(self) -> float:
        """Seconds: the difference of the medians."""
        return statistics.median(self.through) - statistics.median(self.direct)


async def run(*, rounds: int = ROUNDS) -> Calls:
    """Call both so many times."""
    return await asyncio.to_thread(_run, rounds)


def _run(rounds: int) -> Calls:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "dialback.toml")
        target = f"{REPOSITORY / FUNCTION}"
        with running_dialback(target, "--concurrency=1") as region:
            file.write_text(ROUTE.format(name=NAME, endpoint=region.admin_url))
            with running_dialback("--config", file, command="serve", env=CREDENTIALS) as front:
                return _take_turns(front.url, region.admin_url, rounds)


def _take_turns(front: str, region: str, rounds: int) -> Calls:
    through, direct = _connect(front), _connect(region)
    path = f"/2015-03-31/functions/{NAME}/invocations"
    found = Calls()
    event = _timed(through, "GET", "/whole/path?of=it", None)[1]  # the function returns its event
    for _ in range(WARM + rounds):
        for times, link, method, target, body in (
            (found.through, through, "GET", "/whole/path?of=it", None),
            (found.direct, direct, "POST", path, event),
        ):
            seconds, _ = _timed(link, method, target, body)
            times.append(seconds)
    through.close()
    direct.close()
    return Calls(found.direct[WARM:], found.through[WARM:])


def _connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)


def _timed(
    link: http.client.HTTPConnection, method: str, target: str, body: bytes | None
) -> tuple[float, bytes]:
    start = perf_counter()
    link.request(method, target, body)
    response = link.getresponse()
    answer = response.read()
    seconds = perf_counter() - start
    assert response.status == 200, answer
    assert b"rawPath" in answer
    return seconds, answer


async def measure() -> Found:
    """Take the figures at their full size."""
    calls = await run()
    added = calls.added
    return Found(
        "Unaware",
        HOW.format(rounds=ROUNDS),
        [
            Figure("added by the gateway, p50", "at most 1 ms", f"{added * 1000:.2f} ms", reached=added <= ADDED_MAX),
            exactly("calls through the gateway", len(calls.through), ROUNDS),
        ],
        [_line("the Invoke API", calls.direct), _line("through the gateway", calls.through)],
    )  # fmt: skip


def _line(name: str, times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    return f"{name}: p50 {cuts[49] * 1000:.2f} ms, p99 {cuts[98] * 1000:.2f} ms"
