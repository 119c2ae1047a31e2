"""The comparison of worker counts, small."""

from __future__ import annotations

import sys

from tests.commands import output_of
from tests.system.running import REPOSITORY

SMALL = ["--at-once=4", "--rounds=1", "--passes=1", "--seconds=0.2", "--cores=0"]


def test_it_measures_every_count() -> None:
    flags = ("--kind=buffered", "--counts=1,2", *SMALL)
    said = output_of(sys.executable, "-m", "tests.benchmarks.workers", *flags, cwd=REPOSITORY)
    rows = [line.split("|") for line in said.splitlines() if line.startswith("| ")][1:]
    assert [row[1].strip() for row in rows] == ["1", "2"]
    assert [len(row[7].split()) for row in rows] == [1, 2]  # connections, by worker
