"""The plots of the report: how cost grows with streams, and with bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks import sections
from tests.benchmarks.plots import chart

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.studies import Curves

    Series = dict[str, list[tuple[float, float]]]

MIB, GIB = 1 << 20, 1 << 30
FOLDER = "images"

MEMORY, CPU = "MiB of the server", "seconds of the server"
AXES = {
    "streams": (sections.QUIET, "streams at a time"),
    "bytes": (sections.GROWTH, "GiB in one response"),
}
"""The section of a plot, and what its horizontal axis shows."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart.

    Attributes:
        section: of the report where it stands.
        file: its name.
        says: what it shows, for whoever does not see it.
        svg: itself.
    """

    section: str
    file: str
    says: str
    svg: str


def plots(curves: Curves) -> list[Plot]:
    """Those that there are values for."""
    return [
        *(of_streams(curves) if curves.held else ()),
        *(of_bytes(curves) if curves.carried else ()),
    ]


def of_streams(curves: Curves) -> list[Plot]:
    memory = {
        name: [(float(one.streams), one.kib * one.streams / 1024) for one in held]
        for name, held in curves.held.items()
    }
    cpu = {
        name: [(float(one.streams), one.open_cpu + one.hold_cpu + one.end_cpu) for one in held]
        for name, held in curves.held.items()
    }
    title = "CPU time to open, hold and end quiet streams"
    return [
        _plot("streams-memory", "Memory for quiet streams", MEMORY, memory),
        _plot("streams-cpu", title, CPU, cpu),
    ]


def of_bytes(curves: Curves) -> list[Plot]:
    cpu = {
        name: [(one.size / GIB, one.cpu) for one in carried]
        for name, carried in curves.carried.items()
    }
    memory = {
        name: [(one.size / GIB, one.memory / MIB) for one in carried]
        for name, carried in curves.carried.items()
    }
    return [
        _plot("bytes-cpu", "CPU time for one response", CPU, cpu),
        _plot("bytes-memory", "Memory after one response", MEMORY, memory),
    ]


def _plot(name: str, title: str, up: str, series: Series) -> Plot:
    section, across = AXES[name.partition("-")[0]]
    drawn = chart(title, across, up, series)
    return Plot(section, f"bench-{name}.svg", f"{title}, against {across}", drawn)


def write(found: list[Plot], folder: Path) -> None:
    """Write the files beside a page in `folder`."""
    (folder / FOLDER).mkdir(exist_ok=True)
    for plot in found:
        (folder / FOLDER / plot.file).write_text(plot.svg)
