"""What a proxy can do to a connection, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Direction(Enum):
    """Which half of a connection."""

    UP = "up"
    DOWN = "down"


class Fault(Enum):
    """What happens to a connection."""

    RESET = "reset"  # RST to both sides
    CLOSE = "close"  # FIN to both sides
    FINISH = "finish"  # FIN in this direction only, the other goes on
    SWALLOW = "swallow"  # this direction leads nowhere, and no FIN is seen
    HALF_OPEN = "half-open"  # the same for both directions
    PAUSE = "pause"  # this direction stands still, and exerts back-pressure
    FLIP = "flip"  # one bit of the next byte


UP, DOWN = Direction.UP, Direction.DOWN
RESET, CLOSE, FINISH = Fault.RESET, Fault.CLOSE, Fault.FINISH
SWALLOW, HALF_OPEN, PAUSE = Fault.SWALLOW, Fault.HALF_OPEN, Fault.PAUSE
FLIP = Fault.FLIP


@dataclass(frozen=True, slots=True)
class Point:
    """Where a fault strikes by itself.

    Attributes:
        direction: whose bytes are counted.
        offset: after so many of them, exactly, have gone on.
        fault: what happens then, to `direction` where it concerns one.
        upgraded: count from the end of the HTTP upgrade (the first empty line).
    """

    direction: Direction
    offset: int
    fault: Fault
    upgraded: bool = False


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that took place.

    Attributes:
        fault: which.
        at: monotonic seconds.
        connection: its number, from 0.
        up: bytes that had gone on; `down` likewise.
    """

    fault: Fault
    at: float
    connection: int
    up: int
    down: int
