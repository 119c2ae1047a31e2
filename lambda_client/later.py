"""What comes with the first response that is streamed, and is then at hand.

An import statement asks, each time it is passed, whether what it names is there and whole: 14 us of a request, since
what it looks at has left the processor's caches since the last one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambda_client.pump import Pump
    from lambda_client.session import Session


@cache
def session_type() -> type[Session]:
    """Return the outlet that streams."""
    from lambda_client.session import Session

    return Session


@cache
def pump_type() -> type[Pump]:
    """Return what carries one.

    Raises:
        ImportError: websockets or msgpack, which it brings, cannot be imported.
    """
    from lambda_client.pump import Pump

    return Pump
