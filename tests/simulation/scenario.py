"""What a seed stands for: how many exchanges, what each of their three sides does, and what goes wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.route_settings import RequestBodyMode
    from tests.simulation.client import Habits
    from tests.simulation.wire import Cut

KIB = 1024
BLOB = random.Random(20).randbytes(1024 * KIB)
"""Every body is a piece of it: a byte that is lost, doubled or from elsewhere never fits."""

WIRE_FAULTS = ("reset", "reset", "reset", "hang_up", "black_hole", "deaf", "stall_long")
"""What happens to a connection, as often as it is named."""


@dataclass
class Deed:
    """What the function does with one invocation.

    Attributes:
        kind: ``stream`` through the library; ``answer`` without it; ``raise`` before anything.
        body: of the response.
        chunks: how long each is, and how many seconds come before it.
        events: the body is a stream of server-sent events.
        status: of the response.
        sized: whether the head says how long the body is.
        opens: dials before the head is given.
        fails_before: raises before this chunk; None: never.
        stops_before: returns before this chunk; None: never.
        ignores_cancel: goes on for so many seconds after it was told to stop.
        upload: what it does with a streamed request body: ``first`` reads it all before the response,
            ``half`` some of it, ``never``.
    """

    kind: str = "stream"
    body: bytes = b""
    chunks: list[tuple[int, float]] = field(default_factory=list)
    events: bool = False
    status: int = 200
    sized: bool = False
    opens: bool = True
    fails_before: int | None = None
    stops_before: int | None = None
    ignores_cancel: float = 0.0
    upload: str = "first"


@dataclass
class Fate:
    """What becomes of the invocation.

    Attributes:
        refused: ``throttled`` or ``unreachable``: nothing runs.
        refusals: how many calls are refused before one is not.
        lost_at: seconds after which the invoke leg is lost; None: never.
        duplicate_at: seconds after which a second copy begins; None: never.
        dies_at: seconds after which the environment is gone; None: never.
        dies_by: ``reset`` or ``vanish``.
        freezes: seconds after which it stops, and for how long.
        late: seconds for which what it returned is on its way to the gateway.
        leaves: what happens as it returns: ``crash``, and an error is told instead; ``lost``, and nothing
            is; or a fault of its connections.
        lingers: seconds after that until it is frozen.
    """

    refused: str | None = None
    refusals: int = 0
    lost_at: float | None = None
    duplicate_at: float | None = None
    dies_at: float | None = None
    dies_by: str = "reset"
    freezes: list[tuple[float, float]] = field(default_factory=list)
    late: float = 0.0
    leaves: str | None = None
    lingers: float = 0.0


@dataclass
class Act:
    """One exchange.

    Attributes:
        number: from 0; its path is ``/number``.
        begins: seconds after the one before: its end if `waits`, else its begin.
        waits: for the end of the one before, on the same connection if that is left open.
        habits: the client.
        deed: the function.
        fate: the invocation.
        cuts: what happens to its callback connections, one after the other.
        strikes: what happens to those that are open so many seconds after its begin.
        edge_cut: what happens to the client's connection.
        refuses: from when, for how long and how dialling back is refused.
        planned: the kinds of `cuts`, kept when those have happened.
    """

    number: int
    begins: float
    waits: bool
    habits: Habits
    deed: Deed
    fate: Fate
    cuts: list[Cut] = field(default_factory=list)
    strikes: list[tuple[float, str]] = field(default_factory=list)
    edge_cut: Cut | None = None
    refuses: tuple[float, float, str] | None = None
    planned: tuple[str, ...] = ()


@dataclass
class Scenario:
    """One simulation.

    Attributes:
        seed: everything follows from it.
        acts: the exchanges.
        window: response bytes that may be sent unasked.
        max_frame: largest DATA.
        mode: the route's `request_body`.
        timeout: the route's, seconds.
        function_timeout: seconds until Lambda ends a function.
        concurrency: invocations at a time.
        queue: requests that may wait for a place.
        forgets: whether networks forget connections of frozen environments: 0 to 1.
        stops: seconds after which the gateway is told to stop (None: as the first function returns), and how
            long it may take; or None.
    """

    seed: int
    acts: list[Act]
    window: int = 64 * KIB
    max_frame: int = 64 * KIB
    mode: RequestBodyMode = "spill"
    timeout: float = 120.0
    function_timeout: float = 60.0
    concurrency: int = 4
    queue: int = 4
    forgets: float = 0.0
    stops: tuple[float | None, float] | None = None
