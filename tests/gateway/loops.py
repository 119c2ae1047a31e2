"""What writes to transports and sets timers is tested on both event loops: they differ. And where time is all, on one
whose clock the test moves on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.gateway.steering import SteeredLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

try:
    import uvloop
except ImportError:  # an extra
    LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.new_event_loop
    }
else:
    LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

STEERED = {"steered": SteeredLoop}


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Any]:
    return STEERED if item.get_closest_marker("steered") else LOOPS
