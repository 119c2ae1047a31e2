"""Load: one round of a measurement against one server, whatever it is made of.

A round counts only whole and correct responses, and tells about every other one. The workloads are
those of `tests.benchmarks.functions.streamed`, below a base URL.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.benchmarks.counts import Counts

if TYPE_CHECKING:
    from tests.benchmarks.client import Client, Connection, Exchange

TICK = 100
"""Bytes of one tick."""

COUNT = 20
"""Bytes in which a function says how long its request body was."""

WARM_TICKS = 10
"""Of each stream, that are not counted: they tell how soon a stream starts, which first bytes tell
better, and of many short streams they would be the whole p99."""


@dataclass
class Round:
    """What one round gave.

    Attributes:
        seconds: how long it took.
        whole: how many responses came whole.
        amount: bytes of whole responses.
        latencies: seconds; to the first byte, or from the making of a chunk to its arrival.
        broken: how other responses ended, and how often.
        counts: what the server has done for it.
    """

    seconds: float = 0.0
    whole: int = 0
    amount: int = 0
    latencies: list[float] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    counts: Counts = field(default_factory=Counts)

    def count(self, exchange: Exchange, *, expected: int) -> bool:
        """Book a finished exchange that should have had `expected` bytes; True if it had."""
        if exchange.whole and exchange.size == expected:
            self.whole += 1
            self.amount += exchange.size
            return True
        self.broken[exchange.outcome] += 1
        return False


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


async def first_bytes(client: Client, *, requests: int, at_once: int) -> Round:
    """Time to first byte of tiny responses, over kept-alive connections."""
    found, left = Round(), iter(range(requests))

    async def ask_again_and_again() -> None:
        connection: Connection | None = None
        for _ in left:
            if connection is None or connection.closed:
                connection = await client.connect()
            body = bytearray()
            exchange = await client.fetch("tiny", connection=connection, on_data=body.extend)
            if found.count(exchange, expected=6) and body == b"hello\n":
                found.latencies.append(exchange.first_at - exchange.sent)
        if connection is not None:
            connection.transport.close()

    start = time.perf_counter()
    await asyncio.gather(*(ask_again_and_again() for _ in range(at_once)))
    found.seconds = time.perf_counter() - start
    return found


class Ticker:
    """Cuts a body into ticks, and notes how old each one is when it arrives."""

    def __init__(self) -> None:
        self.ages: list[float] = []
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        now = time.monotonic_ns()
        data = self._rest + data
        whole = len(data) - len(data) % TICK
        for start in range(0, whole, TICK):
            made = int(data[start + 1 : start + TICK].split()[0])
            self.ages.append((now - made) / 1e9)
        self._rest = data[whole:]


async def chunk_ages(client: Client, *, streams: int, ticks: int, every_ms: int = 10) -> Round:
    """How long a chunk of a stream that is going is on its way, with `streams` at once."""
    found, ticks = Round(), ticks + WARM_TICKS
    work = f"ticks?n={ticks}&ms={every_ms}&size={TICK}"

    async def follow() -> None:
        ticker = Ticker()
        exchange = await client.fetch_once(work, on_data=ticker)
        if found.count(exchange, expected=ticks * TICK):
            found.latencies += ticker.ages[WARM_TICKS:]

    start = time.perf_counter()
    await asyncio.gather(*(follow() for _ in range(streams)))
    found.seconds = time.perf_counter() - start
    return found


async def bulk(client: Client, *, chunk: int, total: int, streams: int = 1) -> Round:
    """As many bytes as fit through, written in chunks of `chunk` bytes."""
    found = Round()
    start = time.perf_counter()
    work = f"bulk?chunk={chunk}&total={total}"
    exchanges = await asyncio.gather(*(client.fetch_once(work) for _ in range(streams)))
    found.seconds = time.perf_counter() - start
    for exchange in exchanges:
        found.count(exchange, expected=total)
    return found


async def upload(client: Client, *, total: int) -> Round:
    """As many bytes as fit through on their way in; the answer says how many came."""
    found, answer, start = Round(), bytearray(), time.perf_counter()
    exchange = await client.upload_once("sink", total, on_data=answer.extend)
    found.seconds = time.perf_counter() - start
    if found.count(exchange, expected=COUNT):
        assert int(answer) == total
        found.amount = total
    return found
