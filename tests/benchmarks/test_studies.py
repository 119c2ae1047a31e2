"""Every study in its smallest size gives its rows; every aim has one; and the charts are drawn."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.benchmarks import aims, curves, report, streams, studies
from tests.benchmarks.plots import steps
from tests.benchmarks.quiet import LEVELS, carried, memory_row, whole_row
from tests.benchmarks.results import Results
from tests.benchmarks.studies import STUDIES, TINY, Curves

GIVES = {
    "framing": ("to read 64 KiB", {"dialback", "JSON + base64"}),
    "start": ("first byte of a cold function, p50", {"dialback", "buffered"}),
    "resume": ("from the cut to the next byte, p50", {"dialback"}),
    "growth": ("2 MiB in one response, server CPU", {"dialback", "nginx", "direct"}),
    "quiet": ("20 quiet streams, CPU to open them", {"dialback", "nginx", "direct"}),
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_gives_its_rows_and_charts(name: str) -> None:
    results, found = Results(), Curves()
    STUDIES[name](TINY, results, found)
    row, contenders = GIVES[name]
    assert all((results.median(row, contender) or 0) > 0 for contender in contenders)
    if name == "quiet":
        for contender in contenders:
            assert results.median(whole_row(20).name, contender) == 20
            assert results.median(memory_row(20).name, contender) is not None
    drawn = curves.plots(found)
    assert len(drawn) == (2 if name in ("growth", "quiet") else 0)
    page = report.page(results, drawn, rounds=1, where="the CPUs of a test")
    assert all(f"](images/{plot.file})" in page for plot in drawn)
    for plot in drawn:
        lines = ElementTree.fromstring(plot.svg).iter("{http://www.w3.org/2000/svg}polyline")
        assert sum(line.get("points", "").count(",") for line in lines) == 2 * len(contenders)


def test_every_aim_is_of_a_row_that_is_measured() -> None:
    found = streams.measures(streams.TINY)
    names = {figure.row.name for measure in found for figure in measure.figures}
    names |= {row(level).name for row in (memory_row, whole_row) for level in LEVELS}
    assert {aim.row for aim in aims.AIMS} <= names
    assert studies.FULL.levels == LEVELS


def test_what_is_held_against_the_floor_is_measured_of_it() -> None:
    found = [one for one in streams.measures(streams.TINY) if "floor" in one.kinds]
    names = {figure.row.name for measure in found for figure in measure.figures}
    assert {row for rows in report.ABOVE_FLOOR.values() for row in rows} <= names


def test_as_many_streams_are_held_as_the_descriptors_allow() -> None:
    assert carried(LEVELS, 1_000_000) == LEVELS
    assert carried(LEVELS, 20_000) == (100, 500, 1_000, 2_500, 5_000, 6_000)
    assert carried(LEVELS, 4_096) == (100, 500, 1_000)
    assert carried(LEVELS, 1_024) == (100,)


def test_an_axis_ends_beyond_the_largest_value() -> None:
    assert steps([0.9, 5.5]) == [0, 1, 2, 3, 4, 5, 6]
    assert steps([6000]) == [0, 1000, 2000, 3000, 4000, 5000, 6000]
    assert steps([0.0]) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
