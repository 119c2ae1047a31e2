"""The figures as a Markdown page, with the machine that they were taken on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.aims import AIMS, Aim, median

if TYPE_CHECKING:
    from tests.benchmarks.measures import Results

LIBRARIES = ["aiohttp", "uvloop", "websockets", "msgpack", "transitions", "awslambdaric"]

PAGE = """\
# Benchmarks

Written by `make bench`; do not edit. Everything runs on one machine over loopback, without TLS: the
client, the gateway, the functions (real `awslambdaric` workers, frozen between invocations) and what
they are compared with. **direct** is plain aiohttp that serves the same responses itself, without
any gateway; **nginx** is nginx in front of direct, unbuffered, with kept-alive connections;
**buffered** is the same gateway process in front of a function that answers by its return value. No
server writes an access log. Only the ratios mean anything on another machine.

The contenders take turns, round by round; each figure is the median of {rounds} rounds after a
warm-up. After each round the benchmark reads the gateway's own counters, and stops unless every
measured response of dialback came over the callback, none inline.

{aims}

{table}

{broken}

{machine} {where}.
"""


def page(results: Results, *, rounds: int, where: str) -> str:
    """The whole page."""
    return PAGE.format(
        rounds=rounds,
        where=where,
        aims=aims(results),
        table=table(results),
        broken=broken(results),
        machine=machine(),
    )


def rows(cells: list[list[str]]) -> str:
    """A Markdown table; all but the first column are numbers."""
    first, *others = cells
    line = ["---"] + ["---:"] * (len(first) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [first, line, *others])


def aims(results: Results) -> str:
    """Every aim, with what was reached."""
    found = [["dialback against", "", "aim", "measured", ""]]
    for aim in AIMS:
        ratio = aim.ratio(results)
        said = "reached" if aim.reached(ratio) else "**not reached**"
        limit = f"{'≤' if aim.at_most else '≥'} {aim.limit:g} x"
        found.append([aim.what, aim.against, limit, number(ratio, "x"), said])
    return rows(found)


def table(results: Results) -> str:
    """One row for each figure."""
    names = list(dict.fromkeys(name for of in results.values.values() for name in of))
    found = [["", *names, "dialback : direct", "dialback : nginx"]]
    for figure in results.values:
        medians = [median(results, figure.name, name) for name in names]
        ratios = [Aim("", figure.name, other, 0).ratio(results) for other in ("direct", "nginx")]
        found.append(
            [
                figure.name,
                *(number(value, figure.unit) if value else "" for value in medians),
                *(number(ratio, "x") if ratio else "" for ratio in ratios),
            ]
        )
    return rows(found)


def broken(results: Results) -> str:
    """Responses that did not come whole are never passed over."""
    if not results.broken:
        return "Every response came whole."
    lines = [f"\n- {times} x {what}" for what, times in results.broken.items()]
    return "Responses that did not come whole, and are not in the figures:\n" + "".join(lines)


def machine() -> str:
    """Where and with what."""
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return (
        f"Taken on {datetime.now(UTC):%Y-%m-%d}: {processor()}, {os.cpu_count()} CPUs, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"{libraries}."
    )


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def number(value: float | None, unit: str) -> str:
    """Three significant digits, with thousands apart."""
    if value is None:
        return "not measured"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
