"""What the gateway counts, as plain numbers that Prometheus reads when it asks.

Counting is an attribute that grows: cheap enough for every chunk. Names and labels are given at
scrape time, by one collector in a registry of its own, so that two gateways in one process (as in
tests) never share a counter.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = CONTENT_TYPE_LATEST

TTFB_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds: from a warm local function (about 1 ms) to a model that thinks for a minute."""


class RouteTelemetry:
    """The numbers of one route. Hold on to it; looking it up again costs more than counting.

    Attributes:
        active: exchanges that have begun and not ended.
        outcomes: ended exchanges by outcome: ``completed``, ``failed``, ``cancelled``.
        response_bytes: body bytes handed to clients' transports.
        edge_writes: writes that carried them.
        invokes: calls of the function by result.
        queue_depth: requests that wait for the function's concurrency.
        data_frames: DATA frames that came over callbacks and were read.
        cancels: functions that were told to stop, or will be when they attach, by reason.
        cancel_ignored_seconds: how long functions ran on all the same, of those that did.
        breaker_state: 0 calls go out, 1 one probe does, 2 none does.
        breaker_openings: how often calls stopped going out.
    """

    __slots__ = (
        "_ttfb",
        "active",
        "breaker_openings",
        "breaker_state",
        "cancel_ignored_seconds",
        "cancels",
        "data_frames",
        "edge_writes",
        "invokes",
        "outcomes",
        "queue_depth",
        "response_bytes",
    )

    def __init__(self, ttfb: Histogram) -> None:
        self.active = 0
        self.outcomes: Counter[str] = Counter()
        self.response_bytes = 0
        self.edge_writes = 0
        self.invokes: Counter[str] = Counter()
        self.queue_depth = 0
        self.data_frames = 0
        self.cancels: Counter[str] = Counter()
        self.cancel_ignored_seconds = 0.0
        self.breaker_state = 0
        self.breaker_openings = 0
        self._ttfb = ttfb

    def begin(self) -> None:
        """An exchange begins."""
        self.active += 1

    def end(self, outcome: str) -> None:
        """An exchange ended so."""
        self.active -= 1
        self.outcomes[outcome] += 1

    def wrote(self, size: int) -> None:
        """One write of `size` body bytes went to a client's transport."""
        self.edge_writes += 1
        self.response_bytes += size

    def first_byte(self, seconds: float) -> None:
        """A response head left, so long after its request was read."""
        self._ttfb.observe(seconds)

    def invoke(self, result: str) -> None:
        """A call came to its end: ``answer``, ``receipt``, ``error``, ``unknown``, ``not_run``."""
        self.invokes[result] += 1


class Memory(Protocol):
    """What is known of the bytes that all exchanges hold (see `gateway.journal.budget`)."""

    held: int
    limit: int
    refusals: int


class Telemetry:
    """Every number of one gateway.

    Attributes:
        attaches: answers to functions that wanted to attach, by result.
        edge_refusals: requests that never became an exchange of a route, by HTTP status.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.attaches: Counter[str] = Counter()
        self.edge_refusals: Counter[int] = Counter()
        self._routes: dict[str, RouteTelemetry] = {}
        self._callbacks: dict[str, Callable[[], int]] = {}
        self._tasks: Callable[[], int] = int
        self._memory: Memory | None = None
        self._ttfb = Histogram(
            "dialback_ttfb_seconds",
            "From the request's head to the response's head",
            ["route"],
            registry=self.registry,
            buckets=TTFB_BUCKETS,
        )
        self.registry.register(_Collector(self))

    def route(self, path: str) -> RouteTelemetry:
        """Return the numbers of the route with this path, made at first sight."""
        numbers = self._routes.get(path)
        if numbers is None:
            numbers = self._routes[path] = RouteTelemetry(self._ttfb.labels(path))
        return numbers

    def attach(self, result: str) -> None:
        """A function wanted to attach: ``accepted``, ``rejected``, ``unauthorized``."""
        self.attaches[result] += 1

    def refused(self, status: int) -> None:
        """The edge answered a request itself, before it belonged to a route."""
        self.edge_refusals[status] += 1

    def watch_callbacks(self, state: str, count: Callable[[], int]) -> None:
        """Let `count` say how many callback connections are in `state`, whenever someone asks."""
        self._callbacks[state] = count

    def watch_tasks(self, count: Callable[[], int]) -> None:
        """Let `count` say how many tasks the event loop has: at rest they must not grow."""
        self._tasks = count

    def watch_memory(self, memory: Memory) -> None:
        """Show how much of its budget for body bytes the process holds, whenever someone asks."""
        self._memory = memory

    def render(self) -> bytes:
        """Return everything in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def families(self) -> Iterator[Metric]:
        """Yield the plain numbers under their public names."""
        yield _counter(
            "dialback_attaches", "Functions that wanted to attach", "result", self.attaches
        )
        yield _counter(
            "dialback_edge_refusals",
            "Requests answered before they belonged to a route",
            "status",
            {str(status): count for status, count in self.edge_refusals.items()},
        )
        callbacks = GaugeMetricFamily(
            "dialback_callbacks", "Callback connections", labels=["state"]
        )
        for state, count in self._callbacks.items():
            callbacks.add_metric([state], count())
        yield callbacks
        yield GaugeMetricFamily("dialback_tasks", "Tasks of the event loop", value=self._tasks())
        if self._memory is not None:
            yield GaugeMetricFamily(
                "dialback_memory_held_bytes", "Body bytes held", self._memory.held
            )
            yield GaugeMetricFamily(
                "dialback_memory_budget_bytes", "Beyond, nothing new begins", self._memory.limit
            )
            yield CounterMetricFamily(
                "dialback_memory_refusals", "Exchanges refused for it", self._memory.refusals
            )
        yield from self._route_families()

    def _route_families(self) -> Iterator[Metric]:
        routes = self._routes.items()
        yield _pairs(
            "dialback_exchanges",
            "Exchanges that ended",
            "outcome",
            {path: route.outcomes for path, route in routes},
        )
        yield _pairs(
            "dialback_invokes",
            "Calls of functions that ended",
            "result",
            {path: route.invokes for path, route in routes},
        )
        yield _pairs(
            "dialback_cancels",
            "Functions that were told to stop",
            "reason",
            {path: route.cancels for path, route in routes},
        )
        yield _counter(
            "dialback_cancel_ignored_seconds",
            "Seconds that functions ran on although they were told to stop",
            "route",
            {path: route.cancel_ignored_seconds for path, route in routes},
        )
        state = {path: route.breaker_state for path, route in routes}
        yield _gauge("dialback_breaker_state", "0 calls go out, 1 a probe does, 2 none does", state)
        openings = {path: route.breaker_openings for path, route in routes}
        yield _counter("dialback_breaker_openings", "Times calls stopped", "route", openings)
        sent = {path: route.response_bytes for path, route in routes}
        yield _counter("dialback_response_bytes", "Body bytes sent to clients", "route", sent)
        writes = {path: route.edge_writes for path, route in routes}
        yield _counter("dialback_edge_writes", "Writes that carried them", "route", writes)
        frames = {path: route.data_frames for path, route in routes}
        yield _counter("dialback_data_frames", "DATA frames from functions", "route", frames)
        active = {path: route.active for path, route in routes}
        yield _gauge("dialback_exchanges_active", "Exchanges going on", active)
        queued = {path: route.queue_depth for path, route in routes}
        yield _gauge("dialback_queue_depth", "Requests waiting for the function", queued)


class _Collector(Collector):
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    @override
    def collect(self) -> Iterator[Metric]:
        return self._telemetry.families()


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _gauge(name: str, text: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["route"])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _pairs(name: str, text: str, label: str, values: dict[str, Counter[str]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["route", label])
    for path, counts in values.items():
        for key, value in counts.items():
            family.add_metric([path, key], value)
    return family
