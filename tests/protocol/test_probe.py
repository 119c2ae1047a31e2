from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.errors import RemoteProtocolError
from protocol.probe import STEPS, Step, UrlReport, parse_report, report_to_json
from tests.protocol.link import envelope

REPORTS = [
    UrlReport("ws://a/", tuple(Step(name, ok=True, ms=3, detail="fine") for name in STEPS)),
    UrlReport("wss://b/", (Step("dns", ok=False, ms=0, detail="no such name"),)),
    UrlReport("ws://c/", ()),
]


def test_round_trip_through_json() -> None:
    told = json.loads(json.dumps(report_to_json(envelope(), REPORTS)))
    assert parse_report(told, envelope()) == REPORTS


def test_details_are_shortened_on_both_sides() -> None:
    long = [UrlReport("ws://a/", (Step("dns", ok=False, ms=0, detail="x" * 9999),))]
    told = report_to_json(envelope(), long)
    assert len(json.dumps(told)) < 1000
    assert parse_report(told, envelope()) != long


@pytest.mark.parametrize(
    "value", [None, 1, "text", [], {}, {"statusCode": 200}, {"dialback": 1}, {"dialback": {"v": 1}}]
)
def test_what_an_unaware_or_older_function_returns_is_no_report(value: object) -> None:
    assert parse_report(value, envelope()) is None


def spoilt(**changes: Any) -> dict[str, Any]:
    told: Any = report_to_json(envelope(), REPORTS[2:])
    told["dialback"] |= changes
    return dict(told)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (spoilt(v=2), "report.v"),
        (spoilt(xid="00" * 16), "about another probe"),
        (spoilt(probe={}), "report.probe must be"),
        (spoilt(probe=[{}] * 5), "report.probe must be"),
        (spoilt(probe=[7]), "report.probe is not a JSON object"),
        (spoilt(probe=[{"url": "u"}]), "steps must be"),
        (spoilt(probe=[{"url": "u", "steps": [0] * 7}]), "steps must be"),
        (spoilt(probe=[{"url": "u", "steps": [["other", True, 1, ""]]}]), "steps of"),
        (spoilt(probe=[{"url": "u", "steps": [["dns", 1, 1, ""]]}]), "steps of"),
        (spoilt(probe=[{"url": 1, "steps": []}]), "url must be"),
    ],
)
def test_a_malformed_report_says_where(told: object, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        parse_report(told, envelope())
