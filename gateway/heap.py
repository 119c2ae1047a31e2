"""Lets the C library keep the pages of buffers that were freed.

Bodies pass through buffers of 64 to 256 KiB that live for a moment. With glibc's defaults the heap
shrinks and grows around them, and each page that comes back costs a page fault: keeping them made
64 KiB chunks 13 % faster (median of four pairs of runs, side by side; see docs/architecture.md).
"""

from __future__ import annotations

import ctypes

# mallopt(3): parameter numbers of <malloc.h>, and what they are set to.
_TRIM_THRESHOLD = (-1, 64 << 20)  # free memory at the top that is kept: what a busy minute needs
_TOP_PAD = (-2, 1 << 20)  # taken at once when the heap grows
_MMAP_THRESHOLD = (-3, 32 << 20)  # smaller blocks come from the heap; the largest that glibc allows


def keep_freed_pages() -> bool:
    """Tell the C library; return whether it understood (glibc does, others need not)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return all(mallopt(*setting) == 1 for setting in (_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD))
