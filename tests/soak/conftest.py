"""What the tests of this room share."""

from __future__ import annotations

import pytest

from tests.soak.report import GROWTH_JUDGED_AFTER, Report


@pytest.fixture
def kept_report() -> Report:
    """A report of a long run in which every promise was kept."""
    report = Report(seconds=600, streams=40, seed=1, resumes=1, resume_seconds=[0.01])
    report.faults["cut"] = report.completed["flowing"] = 1
    report.memory.seconds = GROWTH_JUDGED_AFTER
    return report
