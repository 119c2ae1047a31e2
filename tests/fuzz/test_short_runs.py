"""A few seconds of fuzzing for each parser, the same ones every time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import running
from tests.fuzz.registry import TARGETS
from tests.system_packages import require_module

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 3
#: Far below what any machine does in that time: it tells a fuzzer that ran from one that did not.
FEWEST_RUNS = 200


def runs(name: str, tmp_path: Path, *bounds: str) -> int:
    """Fuzz one parser; how many inputs it was given, none of which it may fail on."""
    target = TARGETS[name]
    argv = running.command(
        target,
        *running.limits(target),
        "-seed=1",
        *bounds,
        f"-artifact_prefix={tmp_path}/",
        str(tmp_path),
        str(target.corpus),
    )
    run = running.finished(argv, seconds=50)
    assert run.returncode == 0, run.stdout[-4000:]
    done = re.search(r"Done (\d+) runs", run.stdout)
    assert done is not None, run.stdout[-4000:]
    return int(done[1])


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_short_run_finds_nothing(name: str, tmp_path: Path) -> None:
    require_module("atheris")
    done = runs(name, tmp_path, f"-max_total_time={SECONDS}")
    if done <= FEWEST_RUNS:
        # The machine was busy with something else: so many, however long it takes.
        done = runs(name, tmp_path, f"-runs={2 * FEWEST_RUNS}")
    assert done > FEWEST_RUNS
