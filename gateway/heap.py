"""Spares the gateway two costs of its memory: pages that come and go, and pauses of the garbage collector.

Bodies pass through buffers of 64 to 256 KiB that live for a moment. With glibc's defaults the heap
shrinks and grows around them, and each page that comes back costs a page fault: keeping them made
64 KiB chunks 13 % faster (median of four pairs of runs, side by side; see docs/architecture.md).

Every connection is some 75 objects that stay, and Python looks at all there are each time that their
number has grown by a quarter. While 3,000 functions connected at once, it did so three times, for 80 to
180 ms each, in which nothing else happened; as it is set here, not once.
"""

from __future__ import annotations

import ctypes
import gc

# mallopt(3): parameter numbers of <malloc.h>, and what they are set to.
_TRIM_THRESHOLD = (-1, 64 << 20)  # free memory at the top that is kept: what a busy minute needs
_TOP_PAD = (-2, 1 << 20)  # taken at once when the heap grows
_MMAP_THRESHOLD = (-3, 32 << 20)  # smaller blocks come from the heap; the largest that glibc allows

YOUNG = 5_000
"""New objects that stay before the youngest are looked at, instead of 700: as many as some ten exchanges
are at a time. Under load that alone saves 3 % of the gateway's CPU (docs/performance.md). In exchange, what is
over may leave nothing in circles: a failed call would keep its request body until the next look
(`tests/gateway/exchange/test_uncollected.py`)."""

FULL_EVERY = 7
"""Collections of the middle generation between two full ones: some 350,000 new objects, where Python's own
numbers mean 70,000. What only a full one finds, cycles that lived for long, is a small part of them."""


def keep_freed_pages() -> bool:
    """Tell the C library; return whether it understood (glibc does, others need not)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return all(mallopt(*setting) == 1 for setting in (_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD))


def calm_collector() -> None:
    """Look seldom at everything, and never again at what is here now: call it once all is loaded."""
    gc.collect()
    gc.freeze()
    _, middle, _ = gc.get_threshold()
    gc.set_threshold(YOUNG, middle, FULL_EVERY)
