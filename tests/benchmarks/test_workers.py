"""The comparison of worker counts, small."""

from __future__ import annotations

import subprocess
import sys

from tests.patience import PATIENCE
from tests.system.running import REPOSITORY

SMALL = ["--at-once=4", "--rounds=1", "--passes=1", "--seconds=0.2", "--cores=0"]


def test_it_measures_every_count() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmarks.workers",
            "--kind=buffered",
            "--counts=1,2",
            *SMALL,
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row[1].strip() for row in rows] == ["1", "2"]
    assert [len(row[7].split()) for row in rows] == [1, 2]  # connections, by worker
