"""What a server under test has done so far: CPU time, and what a gateway counts itself."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.system.running import Series

_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers that only grow; the difference of two is what happened between them.

    Attributes:
        frames: DATA frames that came over callbacks.
        writes: writes of body bytes to clients.
        server_cpu: CPU seconds of the server that the client talks to.
        functions_cpu: CPU seconds of what stands behind it.
    """

    frames: float = 0.0
    writes: float = 0.0
    server_cpu: float = 0.0
    functions_cpu: float = 0.0

    def __add__(self, more: Counts) -> Counts:
        return Counts(
            self.frames + more.frames,
            self.writes + more.writes,
            self.server_cpu + more.server_cpu,
            self.functions_cpu + more.functions_cpu,
        )

    def __sub__(self, before: Counts) -> Counts:
        return Counts(
            self.frames - before.frames,
            self.writes - before.writes,
            self.server_cpu - before.server_cpu,
            self.functions_cpu - before.functions_cpu,
        )


def counted(metrics: Mapping[Series, float], route: str) -> Counts:
    """What a gateway has counted of a route, by its metrics."""
    labels = frozenset({("route", route)})
    return Counts(
        frames=metrics.get(("dialback_data_frames_total", labels), 0.0),
        writes=metrics.get(("dialback_edge_writes_total", labels), 0.0),
    )


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all its threads, in ns steps; `psutil` counts in 10 ms.

    Raises:
        ProcessLookupError: there is no such process.
    """
    clock = ctypes.c_int()
    error = _libc.clock_getcpuclockid(pid, ctypes.byref(clock))  # POSIX.1-2001
    if error:
        raise ProcessLookupError(error, os.strerror(error), pid)
    return time.clock_gettime(clock.value)


def cpu_of_all(pids: Iterable[int]) -> float:
    """The sum for those that are there."""
    total = 0.0
    for pid in pids:
        try:
            total += cpu_seconds(pid)
        except (ProcessLookupError, OSError):
            continue
    return total


def children(pid: int) -> list[int]:
    """The processes that a process has started, by proc(5)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]
