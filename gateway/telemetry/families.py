"""From plain numbers to the families of `prometheus_client`, under the names of the catalogue."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector as BaseCollector
from typing_extensions import override

from gateway.telemetry import catalogue as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric as Family

    from gateway.telemetry.catalogue import Metric
    from gateway.telemetry.histogram import Histogram
    from gateway.telemetry.numbers import Telemetry, UnderWay
    from gateway.telemetry.route import RouteTelemetry

    Values = Mapping[tuple[str, ...], float]


class Collector(BaseCollector):
    """Reads a gateway's numbers whenever someone asks; only in the thread of its event loop."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._build = (version("dialback"), platform.python_version())

    @override
    def collect(self) -> Iterator[Family]:
        yield from _of_routes(self._telemetry)
        yield from self._of_the_process()

    def _of_the_process(self) -> Iterator[Family]:
        numbers = self._telemetry
        refusals: Values = {(str(word),): count for word, count in numbers.edge_refusals.items()}
        yield plain(names.EDGE_REFUSALS, refusals)
        yield plain(names.PREFLIGHTS, {(): numbers.preflights})
        attaches: Values = {
            (result,): numbers.attaches[result]
            for result in {**dict.fromkeys(names.ATTACH_RESULTS), **numbers.attaches}
        }
        yield plain(names.ATTACHES, attaches)
        callbacks: Values = {(state,): count() for state, count in numbers.callbacks.items()}
        yield plain(names.CALLBACKS, callbacks)
        memory = numbers.memory
        if memory is not None:
            yield plain(names.MEMORY_HELD, {(): memory.held})
            yield plain(names.MEMORY_BUDGET, {(): memory.limit})
            yield plain(names.MEMORY_REFUSALS, {(): memory.refusals})
        yield plain(names.TASKS, {(): numbers.tasks()})
        yield plain(names.LINES_DROPPED, {(): numbers.lines_dropped()})
        yield plain(names.BUILD, {self._build: 1})


_SUMS = (
    (names.RESPONSE_BYTES, "body_bytes"),
    (names.REQUEST_BYTES, "request_bytes"),
    (names.DATA_FRAMES, "data_frames"),
    (names.EDGE_WRITES, "edge_writes"),
)
_NUMBERS = (
    (names.CANCEL_IGNORED, "cancel_ignored_seconds"),
    (names.BREAKER_OPENINGS, "breaker_openings"),
    (names.QUEUE_DEPTH, "queue_depth"),
)
_TIMES = (
    (names.TTFB, "ttfb"),
    (names.DURATION, "duration"),
    (names.ATTACH, "attach"),
    (names.RESUME, "resume"),
    (names.QUEUE_WAIT, "queue_wait"),
)


def _of_routes(telemetry: Telemetry) -> Iterator[Family]:
    routes = telemetry.routes
    under_way: dict[str, list[UnderWay]] = defaultdict(list)
    for exchange in telemetry.under_way:
        under_way[exchange.route].append(exchange)
    sums = {label: route.ended.with_those(under_way[label]) for label, route in routes.items()}
    yield plain(names.EXCHANGES, _keyed(routes, "outcomes"))
    yield plain(names.UNDER_WAY, _states(routes, under_way))
    yield plain(names.CANCELS, _keyed(routes, "cancels"))
    yield plain(names.INVOKES, _keyed(routes, "invokes", names.INVOKE_RESULTS))
    yield plain(names.BREAKER, _breakers(routes))
    for metric, attribute in _SUMS:
        yield plain(metric, {(label,): getattr(one, attribute) for label, one in sums.items()})
    for metric, attribute in _NUMBERS:
        yield plain(metric, {(label,): getattr(one, attribute) for label, one in routes.items()})
    for metric, attribute in _TIMES:
        yield _times(metric, {label: getattr(one, attribute) for label, one in routes.items()})


def _states(
    routes: Mapping[str, RouteTelemetry], under_way: Mapping[str, Iterable[UnderWay]]
) -> Values:
    values: dict[tuple[str, ...], float] = {}
    for label in routes:
        states = Counter(one.state.value for one in under_way.get(label, ()))
        # One that is over, and whose last steps are still being made, holds nothing up.
        values.update({(label, state): states[state] for state in names.STATES})
    return values


def _breakers(routes: Mapping[str, RouteTelemetry]) -> Values:
    return {
        (label, word): int(route.breaker_state == number)
        for label, route in routes.items()
        for number, word in enumerate(names.BREAKER_STATES)
    }


def _keyed(
    routes: Mapping[str, RouteTelemetry], attribute: str, known: Iterable[str] = ()
) -> Values:
    """Return the counts of every route; `known` keys are there before anything was counted."""
    values: dict[tuple[str, ...], float] = {}
    for label, route in routes.items():
        values.update({(label, key): 0 for key in known})
        for key, count in getattr(route, attribute).items():
            values[label, *((key,) if isinstance(key, str) else key)] = count
    return values


def plain(metric: Metric, values: Values) -> Family:
    """Return the family of a counter or a gauge, from its values by their labels."""
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _times(metric: Metric, values: Mapping[str, Histogram]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for label, times in values.items():
        family.add_metric([label], times.buckets(), times.total)
    return family
