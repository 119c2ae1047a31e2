"""Two versions side by side: what is called better is, and each side runs its own code."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import worktrees
from tests.benchmarks.compare import compare, judged, lines
from tests.benchmarks.measures import selected
from tests.benchmarks.results import Results
from tests.benchmarks.servers import check_origin
from tests.benchmarks.streams import TINY, measures
from tests.benchmarks.verdict import FEWEST, judge, outside
from tests.system.running import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.verdict import Verdict


def verdict(factor: float, seed: int, *, less_is_better: bool = True) -> Verdict:
    """Of twelve pairs that scatter by 5 %."""
    chance = random.Random(seed)
    before = [chance.gauss(100, 5) for _ in range(12)]
    after = [chance.gauss(100 * factor, 5) for _ in range(12)]
    return judge(before, after, less_is_better=less_is_better)


def test_a_real_difference_is_told_from_chance() -> None:
    assert {verdict(1.3, seed).word for seed in range(100)} == {"worse"}
    assert {verdict(1.3, seed, less_is_better=False).word for seed in range(100)} == {"better"}
    assert {verdict(0.7, seed).word for seed in range(100)} == {"better"}
    by_chance = sum(verdict(1.0, seed).word != "within noise" for seed in range(1000))
    assert by_chance <= 20  # 1 % is what is promised; twice that is four standard deviations off


def test_how_many_rounds_may_be_left_out() -> None:
    assert [outside(pairs) for pairs in (8, 10, 12, 15)] == [0, 0, 1, 2]
    with pytest.raises(ValueError, match="7 rounds are too few"):
        outside(FEWEST - 1)


def test_both_sides_are_measured_and_judged() -> None:
    results = Results()
    chosen = selected(measures(TINY), ["ttfb-1"])
    assert list(compare([REPOSITORY, REPOSITORY], chosen, results, rounds=1, passes=1)) == [1]
    for values in results.values.values():
        values.update({side: of * FEWEST for side, of in values.items()})
    verdicts = judged(results)
    assert set(verdicts) == {figure.row for figure in chosen[0].figures}
    assert len(lines(["a", "b"], verdicts, results)) == len(verdicts) + 1


def test_a_tree_with_other_code_is_not_measured_as_this_one(tmp_path: Path) -> None:
    check_origin(REPOSITORY, {"PYTHONPATH": str(REPOSITORY)})
    with pytest.raises(RuntimeError, match="would be measured"):
        check_origin(tmp_path, {"PYTHONPATH": str(REPOSITORY)})


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with two commits, in place of this one: CI has a shallow clone."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.setattr(worktrees, "REPOSITORY", folder)
    worktrees.git("init", "--quiet")
    for text in ("first", "second"):
        (folder / "file").write_text(text)
        worktrees.git("add", "file")
        worktrees.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", text)
    return folder


def test_a_commit_is_checked_out_beside_this_tree_and_leaves_nothing(repository: Path) -> None:
    with worktrees.checked_out("HEAD~1") as tree:
        assert (tree / "file").read_text() == "first"
    assert not tree.exists()
    assert worktrees.git("worktree", "list").count("\n") == 0
    assert (repository / "file").read_text() == "second"
    assert not worktrees.dirty()
    (repository / "file").write_text("third")
    assert worktrees.dirty()


def test_what_is_no_commit_is_refused_by_name(repository: Path) -> None:
    with pytest.raises(ValueError, match="'nowhere' is no commit"):
        worktrees.commit_of("nowhere")
    with (
        pytest.raises(ValueError, match="'nowhere' is no commit"),
        worktrees.checked_out("nowhere"),
    ):
        raise AssertionError
