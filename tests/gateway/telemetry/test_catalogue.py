"""What /metrics shows is what the catalogue says, under names as Prometheus wants them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import errors
from gateway.exchange.breaker import BreakerState
from gateway.exchange.states import TERMINAL, State
from gateway.journal.budget import MemoryBudget
from gateway.telemetry import Telemetry, catalogue
from gateway.telemetry.catalogue import METRICS, OF_WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric as Family

BASE_UNITS = ("seconds", "bytes", "info")
NO_UNIT = re.compile(r"_(ms|milliseconds|minutes|kb|mb|kilobytes|megabytes|percent)(_|$)")
RESERVED = {"le", "quantile", "job", "instance"}


@pytest.fixture(scope="module")
def families() -> dict[str, Family]:
    telemetry = Telemetry()
    telemetry.route("/chat").ttfb.observe(1)
    telemetry.memory = MemoryBudget()
    text = telemetry.render().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_there_is_nothing_else_and_nothing_is_missing(families: dict[str, Family]) -> None:
    ours = {name for name in families if name.startswith("dialback_")}
    assert ours == {metric.name.removesuffix("_total") for metric in METRICS}
    others = {name.split("_")[0] for name in families if name not in ours}
    assert others == {"process", "python"}  # the names that Prometheus' own clients use


@pytest.mark.parametrize("metric", METRICS, ids=[metric.name for metric in METRICS])
def test_each_is_described_as_it_is(metric: catalogue.Metric, families: dict[str, Family]) -> None:
    family = families[metric.name.removesuffix("_total")]
    assert family.type == metric.kind
    assert family.documentation == metric.help
    for sample in family.samples:
        assert set(sample.labels) - {"le"} == set(metric.labels)
    for label, values in metric.values.items():
        shown = {sample.labels[label] for sample in family.samples}
        assert shown == set(values) or not shown


@pytest.mark.parametrize("metric", [*METRICS, *OF_WORKERS], ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: catalogue.Metric) -> None:
    """https://prometheus.io/docs/practices/naming/, and what promtool's linter looks at."""
    assert re.fullmatch(r"dialback(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not NO_UNIT.search(metric.name)
    if metric.kind == "histogram":
        assert metric.name.endswith("_seconds")
    for unit in BASE_UNITS:
        if f"_{unit}" in metric.name:
            assert metric.name.removesuffix("_total").endswith(f"_{unit}"), "the unit comes last"
    assert not metric.name.endswith(("_count", "_sum", "_bucket"))
    assert not RESERVED & set(metric.labels)
    assert all(label not in metric.name for label in metric.labels)
    assert metric.help[0].isupper() or metric.help[0].isdigit()
    assert not metric.help.endswith(".")
    assert metric.advice.endswith(".")


def test_the_words_are_those_of_the_code() -> None:
    assert set(catalogue.STATES) == {state.value for state in State if state not in TERMINAL}
    assert set(catalogue.OUTCOMES) == {state.value for state in TERMINAL}
    assert [BreakerState[word.upper()] for word in catalogue.BREAKER_STATES] == [0, 1, 2]


def test_every_error_has_a_word_of_its_own() -> None:
    words = [error.reason for error in kinds(errors.GatewayError)]
    assert len(words) == len(set(words)) > 10
    assert set(catalogue.INVOKE_RESULTS) - {"answer", "receipt", "unknown"} <= set(words)


def kinds(error: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)
