"""upload: five gigabytes that come back while they are still being sent."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import random
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil

from tests.soak.figures.figure import Figure, Found
from tests.system.running import running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.running import Dialback

MIB = 1 << 20

TOTAL = 5 * 1024 * MIB
WARM = 16 * MIB
"""Went ahead: what every upload needs is not growth."""

BLOCK = 256 * 1024
READ = 256 * 1024
SAMPLE_SECONDS = 0.1
SECONDS = 600
"""That it may take at most."""

GROWTH_MAX = 32 * MIB

FUNCTION = "tests/soak/figures/functions.py:handler"

HOW = """\
A client sends {total:.1f} GiB with a Content-Length to a function that yields every piece of its request body as it comes,
and reads the response at the same time; each block of {block} KiB differs from every other. Growth is the largest resident
memory of the process (a sample every {sample:g} s) less what it was before, when {warm} MiB had gone the same way."""


@dataclass
class Echo:
    """What was found.

    Attributes:
        gateway: bytes by which it grew.
        function: likewise.
        sent: SHA-256 of what was sent; `got` of what came back.
        ahead: bytes that had come back when the last one was about to be sent.
        seconds: from the request to the end of the response.
    """

    gateway: int = 0
    function: int = 0
    sent: str = ""
    got: str = ""
    ahead: int = 0
    seconds: float = 0.0


@dataclass
class _Memory:
    """The largest resident memory of a process, beyond what it was at first."""

    process: psutil.Process
    before: int = field(init=False)
    most: int = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.most = self.process.memory_info().rss

    def sample(self) -> None:
        self.most = max(self.most, self.process.memory_info().rss)

    @property
    def growth(self) -> int:
        return self.most - self.before


class _Transfer:
    """One request, sent by a thread of its own while its response is read."""

    def __init__(self, url: str, total: int) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._total = total
        self._received = 0
        self._hash = hashlib.sha256()
        self.ahead = 0

    @property
    def sent(self) -> str:
        return self._hash.hexdigest()

    def run(self) -> str:
        """Return the SHA-256 of what came back."""
        self._connection.putrequest("POST", "/echo")
        self._connection.putheader("Content-Length", str(self._total))
        self._connection.endheaders()
        sender = threading.Thread(target=self._send)
        sender.start()
        try:
            found = hashlib.sha256()
            response = self._connection.getresponse()
            assert response.status == 200
            while data := response.read1(READ):
                found.update(data)
                self._received += len(data)
            return found.hexdigest()
        finally:
            sender.join()
            self._connection.close()

    def _send(self) -> None:
        for block in _blocks(self._total):
            self._hash.update(block)
            self.ahead = self._received
            self._connection.send(block)


def _blocks(total: int) -> Iterator[bytes]:
    noise = random.Random(total).randbytes(BLOCK)
    for offset in range(0, total, BLOCK):
        yield (offset.to_bytes(8, "big") + noise[8:])[: total - offset]


async def run(*, total: int = TOTAL) -> Echo:
    """Send so many bytes through a gateway and a function of their own."""
    return await asyncio.to_thread(_run, total)


def _run(total: int) -> Echo:
    with running_dialback(FUNCTION, f"--timeout={SECONDS}", "--concurrency=1") as dialback:
        _Transfer(dialback.url, min(WARM, total)).run()
        return _measure(dialback, total)


def _measure(dialback: Dialback, total: int) -> Echo:
    gateway = psutil.Process(dialback.pid)
    (function,) = gateway.children()
    memories = _Memory(gateway), _Memory(function)
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            for memory in memories:
                memory.sample()

    sampler = threading.Thread(target=sample)
    sampler.start()
    transfer, start = _Transfer(dialback.url, total), monotonic()
    try:
        got = transfer.run()
    finally:
        over.set()
        sampler.join()
    seconds = monotonic() - start
    return Echo(
        gateway=memories[0].growth,
        function=memories[1].growth,
        sent=transfer.sent,
        got=got,
        ahead=transfer.ahead,
        seconds=seconds,
    )


async def measure() -> Found:
    """Take the figures at their full size."""
    echo = await run()
    return Found(
        "Upload",
        HOW.format(
            total=TOTAL / MIB / 1024, block=BLOCK // 1024, sample=SAMPLE_SECONDS, warm=WARM // MIB
        ),
        [
            Figure("what came back", "equal SHA-256", echo.got[:16], reached=echo.got == echo.sent),
            _growth("growth of the gateway", echo.gateway),
            _growth("growth of the function", echo.function),
        ],
        [
            f"{echo.seconds:.0f} s: {TOTAL / MIB / echo.seconds:.0f} MiB/s in each direction at once",
            f"when the last block was about to leave, {(TOTAL - echo.ahead) / MIB:.1f} MiB were under way",
        ],
    )


def _growth(name: str, size: int) -> Figure:
    limit = f"under {GROWTH_MAX // MIB} MiB"
    return Figure(name, limit, f"{size / MIB:.1f} MiB", reached=size < GROWTH_MAX)
