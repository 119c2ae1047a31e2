"""The numbers of one route."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from gateway.telemetry.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

TTFB_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds: from a warm local function (about 1 ms) to a model that thinks for a minute."""

DURATION_BOUNDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900)
"""Seconds: up to the longest that a function of Lambda may run."""

ATTACH_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
"""Seconds: from a parked connection (about 1 ms) to the end of `attach_timeout`."""

RESUME_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds: from one dial on a good network to the end of `resume_grace`."""

QUEUE_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds: below a millisecond nobody waited."""


class Traffic(Protocol):
    """What one exchange has carried so far.

    Attributes:
        body_bytes: response body bytes that the client's transport was handed.
        edge_writes: writes that carried them.
        data_frames: DATA frames with new bytes that came over callbacks.
        request_bytes: request body bytes that went towards the function.
    """

    body_bytes: int
    edge_writes: int
    data_frames: int
    request_bytes: int


class Totals:
    """Sums of traffic."""

    __slots__ = ("body_bytes", "data_frames", "edge_writes", "request_bytes")

    def __init__(self) -> None:
        self.body_bytes = 0
        self.edge_writes = 0
        self.data_frames = 0
        self.request_bytes = 0

    def add(self, traffic: Traffic) -> None:
        """Add what an exchange has carried."""
        self.body_bytes += traffic.body_bytes
        self.edge_writes += traffic.edge_writes
        self.data_frames += traffic.data_frames
        self.request_bytes += traffic.request_bytes

    def with_those(self, under_way: Iterable[Traffic]) -> Totals:
        """Return these sums and what exchanges that have not ended carried so far."""
        whole = Totals()
        whole.add(self)
        for traffic in under_way:
            whole.add(traffic)
        return whole


class RouteTelemetry:
    """The numbers of one route. Hold on to it; looking it up again costs more than counting.

    Attributes:
        outcomes: ended exchanges by outcome (``completed``, ``failed``, ``cancelled``) and reason.
        ended: what they carried; what the others carry is in them until they end.
        ttfb, duration, attach, resume, queue_wait: how long things took, in seconds.
        invokes: calls of the function by result.
        queue_depth: requests that wait for the function's concurrency.
        cancels: functions that were told to stop, or will be when they attach, by reason.
        cancel_ignored_seconds: how long functions ran on all the same, of those that did.
        breaker_state: 0 calls go out, 1 one probe does, 2 none does.
        breaker_openings: how often calls stopped going out.
    """

    __slots__ = (
        "attach",
        "breaker_openings",
        "breaker_state",
        "cancel_ignored_seconds",
        "cancels",
        "duration",
        "ended",
        "invokes",
        "outcomes",
        "queue_depth",
        "queue_wait",
        "resume",
        "ttfb",
    )

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.ended = Totals()
        self.ttfb = Histogram(TTFB_BOUNDS)
        self.duration = Histogram(DURATION_BOUNDS)
        self.attach = Histogram(ATTACH_BOUNDS)
        self.resume = Histogram(RESUME_BOUNDS)
        self.queue_wait = Histogram(QUEUE_BOUNDS)
        self.invokes: Counter[str] = Counter()
        self.queue_depth = 0
        self.cancels: Counter[str] = Counter()
        self.cancel_ignored_seconds = 0.0
        self.breaker_state = 0
        self.breaker_openings = 0

    def end(self, outcome: str, reason: str, seconds: float, traffic: Traffic) -> None:
        """An exchange ended so, after so long."""
        self.outcomes[outcome, reason] += 1
        self.duration.observe(seconds)
        self.ended.add(traffic)
