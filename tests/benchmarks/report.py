"""The figures as a Markdown page, with the machine that they were taken on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.measures import Figure, Results

LIBRARIES = ["aiohttp", "uvloop", "websockets", "msgpack", "transitions", "awslambdaric"]

PAGE = """\
# Benchmarks

Written by `make bench`; do not edit. Everything runs on one machine over loopback, without TLS: the
client, the gateway, the function (real `awslambdaric` workers, frozen between invocations) and the
two it is compared with. **direct** is plain aiohttp that serves the same responses itself, without
any gateway; **nginx** is nginx in front of direct, unbuffered, with kept-alive connections. Only the
ratios mean anything on another machine.

The contenders take turns, round by round; each figure is the median of {rounds} rounds after a
warm-up. After each round the benchmark reads the gateway's own counters: every measured response
came over the callback, none inline.

{table}

{verdict}

{machine}
"""


def page(results: Results, *, rounds: int) -> str:
    """The whole page."""
    return PAGE.format(
        rounds=rounds, table=table(results), verdict=verdict(results), machine=machine()
    )


def table(results: Results) -> str:
    """One row for each figure."""
    names = list(dict.fromkeys(name for values in results.medians.values() for name in values))
    head = ["", *names, "dialback : direct", "aim", ""]
    rows = [head, ["---"] + ["---:"] * (len(names) + 2) + ["---"]]
    for figure, values in results.medians.items():
        cells = [number(values.get(name), figure.unit) for name in names]
        ratio = results.ratio(figure)
        rows.append([figure.name, *cells, number(ratio, "x"), *aim(figure, ratio)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def aim(figure: Figure, ratio: float | None) -> tuple[str, str]:
    """The target, and whether it is reached."""
    if figure.target is None:
        return "", ""
    sign = "≤" if figure.less_is_better else "≥"
    said = "reached" if figure.reached(ratio) else "**not reached**"
    return f"{sign} {figure.target:g} x", said


def verdict(results: Results) -> str:
    """What the table comes to; broken responses are never passed over."""
    aims = [figure.reached(results.ratio(figure)) for figure in results.medians]
    judged = [reached for reached in aims if reached is not None]
    lines = [f"{sum(judged)} of {len(judged)} aims reached. "]
    if not results.broken:
        lines.append("Every response came whole.")
    else:
        lines.append("Responses that did not come whole, and are not in the figures:\n")
        lines += [f"\n- {times} x {what}" for what, times in results.broken.items()]
    return "".join(lines)


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
        return "nothing whole"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
