"""What the gateway counts, as plain numbers that Prometheus reads when it asks.

Counting is an attribute that grows; what an exchange carries is counted in the exchange, and added up
when it ends, or when someone asks. Names and labels are given at scrape time, in a registry of its own,
so that two gateways in one process (as in tests) never share a counter.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from gateway.telemetry.families import Collector
from gateway.telemetry.route import RouteTelemetry, Traffic
from gateway.telemetry.text import render

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from enum import Enum

    from prometheus_client.metrics_core import Metric as Family


class Memory(Protocol):
    """What is known of the bytes that all exchanges hold (see `gateway.journal.budget`)."""

    held: int
    limit: int
    refusals: int


class UnderWay(Traffic, Protocol):
    """One exchange that has not ended.

    Attributes:
        route: the label of its route.
    """

    route: str

    @property
    def state(self) -> Enum:
        """Where it is."""


class Telemetry:
    """Every number of one gateway.

    Attributes:
        routes: the numbers of each route, by its label.
        attaches: answers to functions that wanted to attach, by result.
        edge_refusals: requests that never became an exchange of a route, by HTTP status.
        preflights: requests that the edge answered for a route, by its CORS rules.
        under_way: the exchanges that have not ended.
        callbacks: for each state of a callback connection, what counts those that are in it.
        tasks: counts the tasks of the event loop: at rest they must not grow.
        lines_dropped: counts the lines that the log lost because nobody took them.
        memory: the budget for body bytes.
    """

    def __init__(self) -> None:
        self.routes: dict[str, RouteTelemetry] = {}
        self.attaches: Counter[str] = Counter()
        self.edge_refusals: Counter[int] = Counter()
        self.preflights = 0
        self.under_way: Collection[UnderWay] = ()
        self.callbacks: dict[str, Callable[[], int]] = {}
        self.tasks: Callable[[], int] = int
        self.lines_dropped: Callable[[], int] = int
        self.memory: Memory | None = None
        self._registry = CollectorRegistry()
        self._registry.register(Collector(self))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def route(self, label: str) -> RouteTelemetry:
        """Return the numbers of the route with this label, made at first sight."""
        numbers = self.routes.get(label)
        if numbers is None:
            numbers = self.routes[label] = RouteTelemetry()
        return numbers

    def attach(self, result: str) -> None:
        """A function wanted to attach; see `gateway.telemetry.catalogue.ATTACHES`."""
        self.attaches[result] += 1

    def refused(self, status: int) -> None:
        """The edge answered a request itself, before it belonged to a route."""
        self.edge_refusals[status] += 1

    def families(self) -> list[Family]:
        """Return everything as it is now; call it in the thread of the event loop."""
        return list(self._registry.collect())

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return render(self.families())
