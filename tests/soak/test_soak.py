"""The soak itself, short: every kind of fault once at least, and every promise kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.soak.chaos import WEIGHTS
from tests.soak.soak import soak

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.report import Report

QUICK = {"ping": 1.0, "dead": 1.0}
"""Seconds of silence: a half-open connection is found out after two instead of twenty."""


@pytest.mark.timeout(180)  # twenty seconds if nothing else runs
async def test_nothing_is_lost_under_random_faults(
    record_property: Callable[[str, object], None],
) -> None:
    report = await soak(seconds=10, streams=8, seed=3, timing=QUICK)
    record_property("soak", json.loads(report.to_json()))
    told = report.to_text()
    assert report.kept, told
    assert set(report.faults) == set(WEIGHTS), told
    assert report.killed, told
    assert report.cancelled, told
    assert report.bytes_compared > 10 << 20, told


@pytest.mark.parametrize(
    ("promise", "spoil"),
    [
        ("no byte lost", lambda report: setattr(report, "lost", 1)),
        ("no byte doubled", lambda report: setattr(report, "doubled", 1)),
        ("no byte invented", lambda report: setattr(report, "invented", 1)),
        ("no response falsely complete", lambda report: report.falsely_complete.append("one")),
        ("nothing broke without a reason", lambda report: report.failed.append("one")),
        ("refused only for want of functions", lambda report: setattr(report, "refused", 1)),
        ("nothing hung", lambda report: report.hung.append("one")),
        ("nothing left over", lambda report: report.left_over.after.update(descriptors=1)),
        ("the gateway does not grow", lambda report: setattr(report.memory, "slope", 9e9)),
        ("the run proves something", lambda report: setattr(report, "resumes", 0)),
    ],
)
def test_a_broken_promise_is_told(
    kept_report: Report, promise: str, spoil: Callable[[Report], object]
) -> None:
    assert "every promise kept" in kept_report.to_text()
    spoil(kept_report)
    assert json.loads(kept_report.to_json())["kept"] is False
    assert f"BROKEN: {promise}" in kept_report.to_text()
    assert json.loads(kept_report.to_json())["promises"][promise] is False
