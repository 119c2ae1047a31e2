"""The measures of streamed responses: first bytes, chunks on their way, and bulk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks import load
from tests.benchmarks.load import Round, percentile
from tests.benchmarks.measures import Figure, Measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.client import Client
    from tests.benchmarks.contenders import Kind

KIB = 1 << 10
MIB = 1 << 20

PROXIES: tuple[Kind, ...] = ("direct", "nginx", "streamed")
"""Who streams: the plain server, and both ways to stand in front of it."""


@dataclass(frozen=True)
class Sizes:
    """How much a round does.

    Attributes:
        requests: for first bytes; at many at once no fewer than ten times as many.
        ticks: chunks of each stream, one every 10 ms.
        bulk: bytes in chunks of 64 KiB; of smaller ones in proportion, as `bulk` has it.
    """

    requests: int
    ticks: int
    bulk: int


FULL = Sizes(requests=400, ticks=150, bulk=256 * MIB)
QUICK = Sizes(requests=150, ticks=50, bulk=96 * MIB)
TINY = Sizes(requests=20, ticks=10, bulk=8 * MIB)


def measures(sizes: Sizes) -> list[Measure]:
    """Every measure of streamed responses."""
    return [
        *(first_bytes(sizes, at_once) for at_once in (1, 10, 50, 100)),
        *(chunks(sizes, streams) for streams in (1, 12, 50)),
        bulk("64k", 64 * KIB, sizes.bulk),
        bulk("16k", 16 * KIB, sizes.bulk // 4),
        bulk("1k", KIB, sizes.bulk // 16),
        bulk("100b", 100, sizes.bulk // 128 // 100 * 100),
        bulk("64k-8", 64 * KIB, sizes.bulk // 4, streams=8),
    ]


def first_bytes(sizes: Sizes, at_once: int) -> Measure:
    requests = max(sizes.requests, 10 * at_once)

    async def run(client: Client) -> Round:
        return await load.first_bytes(client, requests=requests, at_once=at_once)

    what = f"first byte, {at_once} at once"
    return Measure(
        f"ttfb-{at_once}",
        (*PROXIES, "buffered"),
        at_once,
        run,
        (
            latency(f"{what}, p50", 50),
            latency(f"{what}, p99", 99),
            rate(f"requests, {at_once} at once", "/s", lambda found: found.whole),
            *cpu(f"per request, {at_once} at once", lambda found: found.whole),
        ),
    )


def chunks(sizes: Sizes, streams: int) -> Measure:
    async def run(client: Client) -> Round:
        return await load.chunk_ages(client, streams=streams, ticks=sizes.ticks)

    what = f"chunk on its way, {streams} stream{'s' if streams > 1 else ''}"
    return Measure(
        f"chunks-{streams}",
        PROXIES,
        streams,
        run,
        (
            latency(f"{what}, p50", 50),
            latency(f"{what}, p99", 99),
            *cpu(f"per chunk, {streams} streams", lambda found: len(found.latencies)),
        ),
    )


def bulk(name: str, chunk: int, total: int, *, streams: int = 1) -> Measure:
    async def run(client: Client) -> Round:
        return await load.bulk(client, chunk=chunk, total=total, streams=streams)

    size = f"{chunk // KIB} KiB" if chunk >= KIB else f"{chunk} B"
    what = f"{size} chunks, {streams} stream{'s' if streams > 1 else ''}"
    return Measure(
        f"bulk-{name}",
        PROXIES,
        streams,
        run,
        (
            rate(what, "MB/s", lambda found: found.amount / 1e6)
            if chunk > KIB  # of smaller ones it is their number that costs
            else rate(what, "chunks/s", lambda found: found.amount / chunk),
            *cpu(f"per chunk, {what}", lambda found: found.amount / chunk),
        ),
    )


def latency(name: str, percent: float) -> Figure:
    return Figure(name, "ms", lambda found: percentile(found.latencies, percent) * 1000)


def rate(name: str, unit: str, of: Callable[[Round], float]) -> Figure:
    return Figure(name, unit, lambda found: of(found) / found.seconds, less_is_better=False)


def cpu(name: str, of: Callable[[Round], float]) -> tuple[Figure, Figure]:
    """CPU time of the server, and of the functions behind it, for each of what `of` counts."""
    return (
        Figure(f"server CPU {name}", "us", lambda found: found.counts.server_cpu * 1e6 / of(found)),
        Figure(
            f"function CPU {name}", "us", lambda found: found.counts.functions_cpu * 1e6 / of(found)
        ),
    )
