"""On how many processors everything runs: the figures are defined for two."""

from __future__ import annotations

import os

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
