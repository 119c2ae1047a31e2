"""On how many processors everything runs: the figures are defined for two."""

from __future__ import annotations

import os
import time

import psutil

CORES = 2
"""That client, gateway, functions and whatever is compared share, unless someone asks for others."""


def share(cores: int) -> str:
    """Keep this process, and every one that it will start, on so many processors.

    Args:
        cores: how many; 0 for all that there are.

    Returns:
        On which it runs now, as the report says it.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if cores:
        allowed = allowed[:cores]
        os.sched_setaffinity(0, allowed)
    names = ", ".join(str(number) for number in allowed)
    return f"{len(allowed)} of {os.cpu_count()} CPUs ({names}), shared by all"


class Stolen:
    """What the host of a virtual machine took, from now on, of the processors that this process may use."""

    def __init__(self) -> None:
        self._before, self._begun = _stolen_seconds(), time.monotonic()

    def share(self) -> float:
        """Return it as a share of the whole: a run that lost a tenth tells of the host, too."""
        whole = (time.monotonic() - self._begun) * len(os.sched_getaffinity(0))
        return (_stolen_seconds() - self._before) / whole


def _stolen_seconds() -> float:
    """Return what the kernel counts as steal (proc_stat(5)), since the machine was started."""
    times = psutil.cpu_times(percpu=True)
    return sum(times[number].steal for number in os.sched_getaffinity(0))
