"""The numbers of several workers as one text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from typing_extensions import override

from gateway.telemetry import Telemetry
from gateway.workers.gathered import merge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric


def rendered(count: int) -> str:
    telemetry = Telemetry()
    for path in ("/", '/"\\'):
        route = telemetry.route(path)
        route.outcomes["completed", "streamed"] += 1
        for _ in range(count):
            route.ended.body_bytes += 2**53 // 3  # as large as counts can be without losing a unit
            route.ttfb.observe(0.003)
    telemetry.tasks = lambda: count
    return telemetry.render().decode()


def samples(text: str) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
    return {
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_sample_of_every_worker_is_there_unchanged_and_labelled() -> None:
    texts = {0: rendered(1), 1: rendered(3), 12: rendered(2)}

    registry = CollectorRegistry()
    registry.register(_Families(texts))
    merged = samples(generate_latest(registry).decode())
    expected = {
        (name, labels | {("worker", str(worker))}, value)
        for worker, text in texts.items()
        for name, labels, value in samples(text)
    }
    assert merged == expected
    assert len(merged) > 3 * 40


class _Families(Collector):
    def __init__(self, texts: dict[int, str]) -> None:
        self._texts = texts

    @override
    def collect(self) -> Iterable[Metric]:
        return merge(self._texts).values()


def test_a_family_that_only_some_workers_have_is_there_once() -> None:
    plain = "# HELP a text\n# TYPE a gauge\na 1.0\n"
    both = merge(
        {0: plain, 1: plain + "# HELP b_total other\n# TYPE b_total counter\nb_total 2.0\n"}
    )
    assert {
        name: [(s.labels, s.value) for s in family.samples] for name, family in both.items()
    } == {
        "a": [({"worker": "0"}, 1.0), ({"worker": "1"}, 1.0)],
        "b": [({"worker": "1"}, 2.0)],
    }
