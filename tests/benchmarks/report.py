"""The figures as a Markdown page, with the machine that they were taken on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.benchmarks.aims import AIMS
from tests.benchmarks.curves import FOLDER
from tests.benchmarks.sections import NOTES
from tests.benchmarks.streams import FUNCTION_CPU, SERVER_CPU
from tests.benchmarks.worktrees import commit_of, dirty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.aims import Aim
    from tests.benchmarks.curves import Plot
    from tests.benchmarks.results import Results, Row

LIBRARIES = [
    "aiohttp",
    "uvloop",
    "websockets",
    "msgpack",
    "transitions",
    "awslambdaric",
    "uvicorn",
    "httptools",
]

COLUMNS = ["direct", "nginx", "uvicorn", "buffered", "floor", "dialback", "JSON + base64"]
"""In this order, where a table has them."""

OTHERS = ["direct", "nginx", "uvicorn", "floor", "JSON + base64"]
"""That dialback is set against, row by row."""

ABOVE_FLOOR = {
    "first byte p50, 1 at once": ["first byte, 1 at once, p50"],
    "first byte p50, 10 at once": ["first byte, 10 at once, p50"],
    "requests/s, 10 at once": ["requests, 10 at once"],
    **{
        f"CPU a request, {many} at once, gateway and function": [
            f"{SERVER_CPU}request, {many} at once",
            f"{FUNCTION_CPU}request, {many} at once",
        ]
        for many in (1, 10)
    },
    "chunk latency p50, 1 stream": ["chunk on its way, 1 stream, p50"],
    "chunk latency p50, 12 streams": ["chunk on its way, 12 streams, p50"],
    "64 KiB chunks, MB/s": ["64 KiB chunks, 1 stream, MB/s"],
    "1 KiB chunks/s": ["1 KiB chunks, 1 stream, chunks/s"],
}
"""The rows that a table of their own holds against the floor; where it names two, their sum."""

ABOVE = """\
## What dialback costs above the floor

The price of what it promises, of one run; *lowest - highest* is the ratio of a single round. The floor's
functions send from an I/O thread, and wait until the end is acknowledged; after a pause dialback's send from
the thread that writes, and wait so only where much is on its way. For that it may cost less than the floor.

{table}

"""

NO_NGINX = "nginx is not installed, so its columns are missing (`apt-get install nginx-light`)."

PAGE = """\
# Benchmarks

Written by `make bench`; do not edit. Everything runs on one machine over loopback, without TLS: the
client, the gateway, the functions (real `awslambdaric` workers, frozen between invocations) and what
they are compared with. **direct** is plain aiohttp that serves the same responses itself, without
any gateway; **nginx** is nginx in front of direct, unbuffered, with kept-alive connections;
**uvicorn** serves the same ASGI application with uvloop and httptools; **buffered** is the gateway
process of dialback in front of a function that answers by its return value; **floor** is a pipe of the
same structure as dialback (`tests/benchmarks/floor`: processes, frozen functions, one reused WebSocket
each) that keeps no promise: nothing resumes, nothing is checked, counted, logged or timed out. No server
writes an access log. Only the ratios mean anything on another machine.

{machine}

It ran on {where}.{nginx}

The contenders take turns, round by round; each figure is the median of {rounds} rounds after one to
warm up, unless its section says otherwise. `make bench ONLY=ttfb-10,bulk` shows a part; what a change
of the code gives is asked with `make bench-compare` (see CONTRIBUTING).

## What is aimed at

Ratios of one run; *lowest - highest* is the ratio of a single round. A ratio says as much of the other
as of dialback: where direct takes half the time for a request, and a callback as long as ever, the ratio
to direct doubles. So the figures of both stand beside it.

{aims}

{above}{sections}

## Which way the responses took

After each round the benchmark reads the gateway's own counters, and stops unless every response of
dialback came over the callback (of one chunk: a DATA frame each; of many bytes: as many frames as
they fill at least) and every buffered one did not. The medians of a round:

{ways}

{broken}
"""


def page(results: Results, plots: Sequence[Plot], *, rounds: int, where: str) -> str:
    """The whole page."""
    there = {row.section for row in results.values}
    names = [name for name in NOTES if name in there]
    return PAGE.format(
        rounds=rounds,
        where=where,
        aims=aims(results),
        above=above_floor(results),
        sections="\n\n".join(section(results, name, plots) for name in names),
        ways=ways(results),
        broken=broken(results),
        machine=machine(),
        nginx="" if shutil.which("nginx") else f" {NO_NGINX}",
    )


def markdown(rows: list[list[str]]) -> str:
    """A table; all but the first column are numbers."""
    first, *others = rows
    line = ["---"] + ["---:"] * (len(first) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [first, line, *others])


def aims(results: Results) -> str:
    """Every aim that was measured, with what was reached."""
    head = ["", "against", "aim", "measured", "lowest - highest", "dialback", "the other", ""]
    found = [head]
    measured_aims = [aim for aim in AIMS if aim.measured(results) is not None]
    count = 0
    for aim in measured_aims:
        measured = aim.measured(results)
        count += aim.reached(measured)
        said = "reached" if aim.reached(measured) else "**not reached**"
        limit = f"{'≤' if aim.at_most else '≥'} {number(aim.limit, aim.unit)}"
        found.append([aim.what, aim.against or "", limit, _beside(measured, aim)])
        found[-1] += [_range(aim.rounds(results)), *_figures(aim, results), said]
    missing = len(AIMS) - len(measured_aims)
    left = f"; **{missing} more were not measured**" if missing else ""
    return f"{markdown(found)}\n\n{count} of {len(measured_aims)} reached{left}."


def _beside(measured: float | None, aim: Aim) -> str:
    """What was measured, with a digit more where it would look like the aim that it is not."""
    said = number(measured, aim.unit)
    if measured is None or aim.reached(measured) or said != number(aim.limit, aim.unit):
        return said
    return f"{measured:.4g} {aim.unit}".strip()


def _range(values: list[float]) -> str:
    """The least and the most of some rounds."""
    return f"{number(min(values), '')} - {number(max(values), '')}" if values else ""


def _figures(aim: Aim, results: Results) -> list[str]:
    """What a ratio is made of; nothing for an aim that is none."""
    contenders = ["dialback", aim.against] if aim.against else [None, None]
    values = [results.median(aim.row, one) if one else None for one in contenders]
    unit = results.unit(aim.row)
    return ["" if value is None else number(value, unit) for value in values]


def above_floor(results: Results) -> str:
    """What the promises cost; nothing where the floor was not measured."""
    found = [["", "floor", "dialback", "dialback : floor", "lowest - highest"]]
    for what, rows in ABOVE_FLOOR.items():
        unit = results.unit(rows[0])
        floor, ours = (
            [sum(of) for of in zip(*(results.of(row, one) for row in rows), strict=False)]
            for one in ("floor", "dialback")
        )
        if floor and ours:
            least, most = statistics.median(floor), statistics.median(ours)
            ratios = [one / other for one, other in zip(ours, floor, strict=False)]
            cells = [number(least, unit), number(most, unit), number(most / least, "x")]
            found.append([what, *cells, _range(ratios)])
    return ABOVE.format(table=markdown(found)) if len(found) > 1 else ""


def section(results: Results, name: str, plots: Sequence[Plot]) -> str:
    """One table, with what it is about and the charts that belong to it."""
    rows = [row for row in results.values if row.section == name]
    there = {contender for row in rows for contender in results.values[row]}
    columns = [contender for contender in COLUMNS if contender in there]
    others = [other for other in OTHERS if other in columns and "dialback" in columns]
    found = [["", *columns, *(f"dialback : {other}" for other in others)]]
    for row in rows:
        medians = {column: results.median(row.name, column) for column in columns}
        ratios = [_ratio(medians["dialback"], medians[other], row) for other in others]
        cells = ["" if value is None else number(value, row.unit) for value in medians.values()]
        found.append([row.name, *cells, *ratios])
    charts = [f"![{plot.says}]({FOLDER}/{plot.file})" for plot in plots if plot.section == name]
    return "\n\n".join([f"## {name}", NOTES[name], *charts, markdown(found)])


def _ratio(ours: float | None, theirs: float | None, row: Row) -> str:
    """Nothing for what is no quantity, or was nothing."""
    return number(ours / theirs, "x") if row.unit and ours and theirs else ""


def ways(results: Results) -> str:
    """What the gateway counted."""
    found = [["measure", "responses", "DATA frames", "writes to clients"]]
    for name, rounds in results.ways.items():
        responses = statistics.median(whole for whole, _ in rounds)
        frames = statistics.median(counts.frames for _, counts in rounds)
        writes = statistics.median(counts.writes for _, counts in rounds)
        found.append([f"`{name}`", *(f"{value:,.0f}" for value in (responses, frames, writes))])
    return markdown(found)


def broken(results: Results) -> str:
    """Responses that did not come whole are never passed over."""
    if not results.broken:
        return "Every response came whole."
    lines = [f"\n- {times} x {what}" for what, times in results.broken.items()]
    return "Responses that did not come whole, and are not in the figures:\n" + "".join(lines)


def machine() -> str:
    """Where and with what."""
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    versions |= {"nginx": nginx_version()} if shutil.which("nginx") else {}
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Taken on {datetime.now(UTC):%Y-%m-%d} of {revision()}: {processor()}, {os.cpu_count()} CPUs, "
        f"{psutil.virtual_memory().total / (1 << 30):.0f} GiB of memory, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"{libraries}."
    )


def revision() -> str:
    """What was measured."""
    try:
        commit = commit_of("HEAD")
    except (ValueError, OSError):  # the sources are not in a clone, or there is no git
        return f"dialback {importlib.metadata.version('dialback')}"
    return f"commit {commit}{', with changes' if dirty() else ''}"


def nginx_version() -> str:
    """As it says itself."""
    done = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True)
    return done.stderr.strip().rpartition("/")[2]


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
    said = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{said} {unit}".strip()
