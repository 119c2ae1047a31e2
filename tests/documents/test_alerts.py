"""The alerts of docs/metrics.md ask for labels and values that there are."""

from __future__ import annotations

import re
from typing import Any

import yaml

from gateway.telemetry import catalogue
from gateway.telemetry.catalogue import METRICS
from tests.documents.blocks import ROOT, blocks
from tests.documents.metrics import reason_table

SELECTOR = re.compile(r"(dialback_[a-z_]+)\{([^}]*)\}")
MATCHER = re.compile(r'([a-z]+)=~?"([^"]*)"')
HISTOGRAM_SUFFIX = re.compile(r"_(count|sum|bucket)$")


def rules() -> list[dict[str, Any]]:
    (block,) = (one for one in blocks(ROOT / "docs" / "metrics.md") if one.language == "yaml")
    found: list[dict[str, Any]] = yaml.safe_load(block.text)["groups"][0]["rules"]
    return found


def test_every_selector_can_match() -> None:
    known = {
        "outcome": set(catalogue.OUTCOMES),
        "state": {*catalogue.STATES, *catalogue.BREAKER_STATES},
        "reason": set(re.findall(r"`([a-z_]+)`", reason_table())),
    }
    labels = {metric.name: set(metric.labels) for metric in METRICS}
    seen = 0
    for rule in rules():
        for name, matchers in SELECTOR.findall(rule["expr"]):
            for label, values in MATCHER.findall(matchers):
                assert label in labels[HISTOGRAM_SUFFIX.sub("", name)], rule
                assert set(values.split("|")) <= known[label], rule
                seen += 1
    assert seen >= 4


def test_every_expression_is_balanced_and_groups_by_what_its_summary_names() -> None:
    for rule in rules():
        expression, summary = rule["expr"], rule["annotations"]["summary"]
        assert expression.count("(") == expression.count(")")
        assert ("by (route)" in expression) == ("$labels.route" in summary)
