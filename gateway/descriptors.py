"""How many sockets and files this process may have open.

The soft limit is 1,024 in most shells and containers, for the sake of programs that use select(2). The
event loop does not, and 20,000 parked callbacks need one descriptor each.
"""

from __future__ import annotations

import logging
import resource
import sys

log = logging.getLogger("dialback.server")


def limit() -> int:
    """Return how many descriptors may be open now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> None:
    """Ask for as many as the system lets this process have; what it refuses stays as it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS refuses what it calls unlimited itself
        log.warning("descriptors: %d may be open; more are refused: %s", soft, error)
    else:
        log.debug("descriptors: %d may be open, not %d", limit(), soft)
