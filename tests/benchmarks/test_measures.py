"""Small rounds of every measure: whole, and by the way that the contender stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import aims, report
from tests.benchmarks.contenders import Contender, Gateway, NotStreamedError
from tests.benchmarks.counts import Counts
from tests.benchmarks.load import Round, percentile
from tests.benchmarks.measures import selected, take_turns
from tests.benchmarks.results import Results, Row
from tests.benchmarks.servers import contenders
from tests.benchmarks.streams import FUNCTION_CPU, TINY, measures

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 1
SMALL = [measure for measure in measures(TINY) if measure.at_once <= AT_ONCE]


@pytest.fixture(scope="module")
def found() -> Iterator[list[Contender]]:
    kinds = {kind for measure in SMALL for kind in measure.kinds}
    with contenders(kinds, AT_ONCE) as running:
        yield running


async def test_every_measure_gives_every_figure(found: list[Contender]) -> None:
    results = Results()
    await take_turns(found, SMALL, results, at_once=AT_ONCE, rounds=1)
    assert not results.broken
    for measure in SMALL:
        names = {contender.name for contender in found if contender.kind in measure.kinds}
        for figure in measure.figures:
            behind = FUNCTION_CPU in figure.row.name  # direct and nginx have none
            some = names & {"dialback", "floor"} if behind else names
            assert some <= set(results.values[figure.row])
    page = report.page(results, [], rounds=1, where="the CPUs of a test")
    assert "| first byte p50, 1 at once | direct |" in page
    assert "## What dialback costs above the floor" in page
    assert "Every response came whole." in page


@pytest.fixture
def gateways(found: list[Contender]) -> dict[str, Gateway]:
    return {one.kind: one for one in found if isinstance(one, Gateway)}


def test_a_response_that_took_the_wrong_way_stops_the_benchmark(
    gateways: dict[str, Gateway],
) -> None:
    ten = Round(whole=10, amount=60)
    gateways["streamed"].check(Counts(frames=10), ten)
    with pytest.raises(NotStreamedError):
        gateways["streamed"].check(Counts(frames=9), ten)
    with pytest.raises(NotStreamedError):
        gateways["streamed"].check(Counts(frames=10), Round(whole=1, amount=1 << 20))
    gateways["buffered"].check(Counts(), ten)
    with pytest.raises(NotStreamedError):
        gateways["buffered"].check(Counts(frames=1), ten)


def test_a_word_selects_a_measure_or_all_that_begin_so() -> None:
    known = measures(TINY)
    assert [one.name for one in selected(known, ["ttfb-10"])] == ["ttfb-10"]
    assert {one.name.partition("-")[0] for one in selected(known, ["ttfb", "bulk"])} == {
        "ttfb",
        "bulk",
    }
    assert selected(known, []) == known
    with pytest.raises(ValueError, match="'ttfb-' is no measure; there are: ttfb-1, "):
        selected(known, ["ttfb-"])


def test_a_ratio_stands_beside_what_it_is_made_of() -> None:
    results, row = Results(), Row("First bytes and requests", "first byte, 1 at once, p50", "ms")
    results.put(row, "direct", 0.05, 0.05, 0.1)
    results.put(row, "dialback", 1.0, 0.9, 1.1)
    line = next(text for text in report.aims(results).splitlines() if "first byte p50, 1 " in text)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:4] == ["direct", "≤ 12 x", "20 x"]
    assert cells[4:] == ["11 - 20", "1 ms", "0.05 ms", "**not reached**"]


def test_an_aim_that_was_just_missed_does_not_look_reached() -> None:
    results, row = Results(), Row("Bulk", "1 KiB chunks, 1 stream, chunks/s", "/s", False)
    results.put(row, "nginx", 330_926)
    results.put(row, "dialback", 395_835)
    assert "| ≥ 1.2 x | 1.196 x |" in report.aims(results)


def test_an_aim_that_was_missed_is_called_missed() -> None:
    times = aims.Aim("first byte", "", "direct", 20.0)
    rates = aims.Aim("chunks", "", "nginx", 0.5, at_most=False)
    assert [times.reached(20.0), times.reached(20.1)] == [True, False]
    assert [rates.reached(0.5), rates.reached(0.49)] == [True, False]
    assert times.reached(None) is False
    assert all(aim.measured(Results()) is None for aim in aims.AIMS)


@pytest.mark.parametrize(
    ("percent", "expected"), [(1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)]
)
def test_a_percentile_is_the_value_of_the_nearest_rank(percent: float, expected: int) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected
    assert percentile([7.0], percent) == 7.0
