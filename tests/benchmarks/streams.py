"""The measures of streamed responses: first bytes, chunks on their way, and bulk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks import load, sections
from tests.benchmarks.load import Round, percentile
from tests.benchmarks.measures import Figure, Measure
from tests.benchmarks.results import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.client import Client
    from tests.benchmarks.contenders import Kind

KIB = 1 << 10
MIB = 1 << 20

PROXIES: tuple[Kind, ...] = ("direct", "nginx", "streamed")
"""Who streams: the plain server, and both ways to stand in front of it."""

WITH_FLOOR: tuple[Kind, ...] = (*PROXIES, "floor")
"""And the pipe that keeps no promise: where a dozen functions are enough."""

ASGI: tuple[Kind, ...] = ("uvicorn", "asgi")


SERVER_CPU, FUNCTION_CPU = "server CPU a ", "function CPU a "


@dataclass(frozen=True)
class Sizes:
    """How much a round does.

    Attributes:
        requests: for first bytes; at many at once no fewer than ten times as many.
        ticks: chunks of one stream, one every 10 ms; of each of several a quarter, since together they are more.
        bulk: bytes in chunks of 64 KiB; of smaller ones so many less that it takes no longer.
    """

    requests: int
    ticks: int
    bulk: int


FULL = Sizes(requests=1_000, ticks=400, bulk=256 * MIB)
QUICK = Sizes(requests=150, ticks=160, bulk=192 * MIB)
TINY = Sizes(requests=20, ticks=40, bulk=16 * MIB)


def measures(sizes: Sizes) -> list[Measure]:
    """Every measure that is made of requests: of streams, of uploads, and of the ASGI application."""
    return [
        *(first_bytes(sizes, at_once, kinds=(*WITH_FLOOR, "buffered")) for at_once in (1, 10)),
        *(first_bytes(sizes, at_once) for at_once in (50, 100)),
        *(chunks(sizes, streams, kinds=WITH_FLOOR) for streams in (1, 12)),
        chunks(sizes, 50),
        bulk("64k", 64 * KIB, sizes.bulk, kinds=WITH_FLOOR),
        bulk("16k", 16 * KIB, sizes.bulk // 2),
        bulk("1k", KIB, sizes.bulk // 4, kinds=WITH_FLOOR),
        bulk("100b", 100, hundreds(sizes.bulk // 32)),
        bulk("64k-8", 64 * KIB, sizes.bulk // 8, streams=8),
        bulk("frames", 100, hundreds(sizes.bulk // 64), kinds=("uncoalesced",)),
        upload(sizes.bulk // 2),
        *asgi(sizes),
    ]


def asgi(sizes: Sizes) -> list[Measure]:
    """The same, of one application behind uvicorn and behind dialback."""
    return [
        first_bytes(sizes, 1, kinds=ASGI),
        first_bytes(sizes, 10, kinds=ASGI),
        chunks(sizes, 1, kinds=ASGI),
        chunks(sizes, 12, kinds=ASGI),
        bulk("64k", 64 * KIB, sizes.bulk, kinds=ASGI),
        bulk("1k", KIB, sizes.bulk // 4, kinds=ASGI),
    ]


def hundreds(size: int) -> int:
    return size // 100 * 100


def placed(kinds: tuple[Kind, ...], section: str) -> tuple[str, str, str]:
    """What stands before the name of a measure, the section of its rows, and what before theirs."""
    return ("asgi-", sections.ASGI, "ASGI: ") if kinds == ASGI else ("", section, "")


def first_bytes(
    sizes: Sizes, at_once: int, *, kinds: tuple[Kind, ...] = (*PROXIES, "buffered")
) -> Measure:
    requests = max(sizes.requests, 10 * at_once)

    async def run(client: Client) -> Round:
        return await load.first_bytes(client, requests=requests, at_once=at_once)

    word, section, of = placed(kinds, sections.FIRST_BYTES)
    what = f"{of}first byte, {at_once} at once"
    return Measure(
        f"{word}ttfb-{at_once}",
        kinds,
        at_once,
        run,
        (
            latency(section, f"{what}, p50", 50),
            latency(section, f"{what}, p99", 99),
            rate(section, f"{of}requests, {at_once} at once", "/s", lambda found: found.whole),
            *cpu(section, of, f"request, {at_once} at once", lambda found: found.whole),
        ),
    )


def chunks(sizes: Sizes, streams: int, *, kinds: tuple[Kind, ...] = PROXIES) -> Measure:
    ticks = sizes.ticks if streams == 1 else sizes.ticks // 4

    async def run(client: Client) -> Round:
        return await load.chunk_ages(client, streams=streams, ticks=ticks)

    word, section, of = placed(kinds, sections.CHUNKS)
    many = f"{streams} stream{'s' if streams > 1 else ''}"
    what = f"{of}chunk on its way, {many}"
    return Measure(
        f"{word}chunks-{streams}",
        kinds,
        streams,
        run,
        (
            latency(section, f"{what}, p50", 50),
            latency(section, f"{what}, p99", 99),
            *cpu(section, of, f"chunk every 10 ms, {many}", lambda found: len(found.latencies)),
        ),
    )


def bulk(
    name: str, chunk: int, total: int, *, streams: int = 1, kinds: tuple[Kind, ...] = PROXIES
) -> Measure:
    async def run(client: Client) -> Round:
        return await load.bulk(client, chunk=chunk, total=total, streams=streams)

    word, section, of = placed(kinds, sections.BULK)
    size = f"{chunk // KIB} KiB" if chunk >= KIB else f"{chunk} B"
    item = "frame" if kinds == ("uncoalesced",) else "chunk"
    many = f"{streams} stream{'s' if streams > 1 else ''}"
    what = f"{of}{size} {item}s, {many}"
    megabytes = rate(section, f"{what}, MB/s", "MB/s", lambda found: found.amount / 1e6)
    chunks_a_second = rate(section, f"{what}, {item}s/s", "/s", lambda found: found.amount / chunk)
    return Measure(
        f"{word}bulk-{name}",
        kinds,
        streams,
        run,
        (
            *([megabytes] if chunk >= KIB else []),
            *([chunks_a_second] if chunk <= KIB else []),
            *cpu(section, of, f"{size} {item}, {many}", lambda found: found.amount / chunk),
        ),
    )


def upload(total: int) -> Measure:
    async def run(client: Client) -> Round:
        return await load.upload(client, total=total)

    return Measure(
        "upload",
        ("direct", "nginx", "upload"),
        1,
        run,
        (
            rate(sections.BULK, "upload, MB/s", "MB/s", lambda found: found.amount / 1e6),
            *cpu(sections.BULK, "", "64 KiB of an upload", lambda found: found.amount / (64 * KIB)),
        ),
    )


def latency(section: str, name: str, percent: float) -> Figure:
    row = Row(section, name, "ms")
    return Figure(row, lambda found: percentile(found.latencies, percent) * 1000)


def rate(section: str, name: str, unit: str, of: Callable[[Round], float]) -> Figure:
    row = Row(section, name, unit, less_is_better=False)
    return Figure(row, lambda found: of(found) / found.seconds)


def cpu(
    section: str, before: str, name: str, of: Callable[[Round], float]
) -> tuple[Figure, Figure]:
    """CPU time of the server, and of functions behind it, for each of what `of` counts."""
    table = section if section == sections.ASGI else sections.CPU
    return (
        Figure(
            Row(table, f"{before}{SERVER_CPU}{name}", "us"),
            lambda found: found.counts.server_cpu * 1e6 / of(found),
        ),
        Figure(
            Row(table, f"{before}{FUNCTION_CPU}{name}", "us"),
            lambda found: found.counts.functions_cpu * 1e6 / of(found) or None,
        ),
    )
