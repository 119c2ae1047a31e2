"""The numbers of several workers as one text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry import Telemetry
from gateway.telemetry.text import render
from gateway.workers import channel
from gateway.workers.gathered import merge
from gateway.workers.worker import told

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


def counted(count: int) -> Telemetry:
    telemetry = Telemetry()
    for path in ("/", '/"\\'):
        route = telemetry.route(path)
        route.outcomes["completed", "streamed"] += 1
        for _ in range(count):
            route.ended.body_bytes += 2**53 // 3  # as large as counts can be without losing a unit
            route.ttfb.observe(0.003)
    telemetry.tasks = lambda: count
    return telemetry


def travelled(families: list[Metric]) -> Any:
    """What the supervisor gets of what a worker says."""
    said = channel.pack(channel.Answer(1, told(families)))
    return msgspec.json.decode(said[channel.LENGTH_BYTES :])["value"]


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_every_sample_of_every_worker_is_there_unchanged_and_labelled() -> None:
    families = {worker: counted(count).families() for worker, count in ((0, 1), (1, 3), (12, 2))}
    merged = samples(render(merge({n: travelled(found) for n, found in families.items()})))
    expected = {
        (name, labels | {("worker", str(worker))}): value
        for worker, found in families.items()
        for (name, labels), value in samples(render(found)).items()
    }
    assert merged == expected
    assert len(merged) > 3 * 40


def test_a_family_that_only_some_workers_have_is_there_once() -> None:
    one, other = GaugeMetricFamily("a", "text", 1), CounterMetricFamily("b", "other", 2)
    both = merge({0: travelled([one]), 1: travelled([one, other])})
    assert [(family.name, [(s.labels, s.value) for s in family.samples]) for family in both] == [
        ("a", [({"worker": "0"}, 1), ({"worker": "1"}, 1)]),
        ("b", [({"worker": "1"}, 2)]),
    ]
