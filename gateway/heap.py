"""Spares the gateway two costs of its memory: pages that come and go, and pauses of the garbage collector.

Bodies pass through buffers of 64 to 256 KiB that live for a moment. With glibc's defaults the heap
shrinks and grows around them, and each page that comes back costs a page fault: keeping them made
64 KiB chunks 13 % faster (median of four pairs of runs, side by side; see docs/architecture.md).

Every stream is some 300 objects that stay. Python looks at all there are each time that their number has
grown by a quarter, for 50 ms with 1,000 streams and 280 with 5,000, in which nothing else happens. What only
such a look finds is circles of objects that lived for long, and nearly nothing leaves any. So the gateway
looks when few are connected, and otherwise very seldom: or once it has grown, since a circle of a few objects
may hold megabytes.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# mallopt(3): parameter numbers of <malloc.h>, and what they are set to.
_TRIM_THRESHOLD = (-1, 64 << 20)  # free memory at the top that is kept: what a busy minute needs
_TOP_PAD = (-2, 1 << 20)  # taken at once when the heap grows
_MMAP_THRESHOLD = (-3, 32 << 20)  # smaller blocks come from the heap; the largest that glibc allows

YOUNG = 5_000
"""New objects that stay before the youngest are looked at, instead of 700: as many as some ten exchanges
are at a time. Under load that alone saves 3 % of the gateway's CPU (docs/performance.md). In exchange, what is
over may leave nothing in circles: a failed call would keep its request body until the next look
(`tests/gateway/exchange/test_uncollected.py`)."""

FULL_EVERY = 40
"""Collections of the middle generation between two full ones: some 2,000,000 new objects, which are 6,000
streams, or 250 MB of what a bug left in circles. Python's own numbers mean 70,000."""

SWEEP_SECONDS = 60.0
"""So often it is seen whether a full one disturbs nobody now."""

GROWTH_MAX = 256 << 20
"""Bytes that the process may grow by, from the least it had since, before everything is looked at, whoever is
connected: what circles hold is never more than that and what came since. A gateway that grows because it has
more to do pauses once for each such step: a full collection, and some 70 ms to give 300 MiB back."""

GROWTH_SECONDS = 5.0
"""So often it is seen how large the process is, which takes 0.2 ms at most."""

CALM = 200
"""Connections with which it takes some 5 ms."""


def keep_freed_pages() -> bool:
    """Tell the C library; return whether it understood (glibc does, others need not)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return all(mallopt(*setting) == 1 for setting in (_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD))


def resident() -> int:
    """Return how many bytes of memory the process has; 0 where the system does not tell (all but Linux)."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def calm_collector() -> None:
    """Never look again at what is here now, and seldom at everything: call it once all is loaded."""
    gc.collect()
    gc.freeze()
    _, middle, _ = gc.get_threshold()
    gc.set_threshold(YOUNG, middle, FULL_EVERY)


async def sweep(connections: Callable[[], int]) -> None:
    """Look at everything while few are connected, for as long as this task runs.

    Args:
        connections: how many there are.
    """
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        has_become_old = gc.get_count()[2]
        if has_become_old and connections() <= CALM:
            gc.collect()


async def bound_growth() -> None:
    """Look at everything each time that the process has grown by `GROWTH_MAX`, for as long as this task runs."""
    least = resident()
    while True:
        await asyncio.sleep(GROWTH_SECONDS)
        now = resident()
        if now - least > GROWTH_MAX:
            gc.collect()
            _return_freed_pages()  # else the next circles would grow in those unseen
            least = resident()
        least = min(least, now)


def _return_freed_pages() -> None:
    with suppress(OSError, AttributeError, TypeError):  # glibc has it, others need not
        ctypes.CDLL(None).malloc_trim(0)
