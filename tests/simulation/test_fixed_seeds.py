"""Whole exchanges under random faults, the same ones each time; and that they reach every transition."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.simulation.batch import NEVER, Batch, transitions
from tests.simulation.world import simulate

SHARES, SHARE = 16, 150
"""Some 25 seconds on one core of 2024, in parts that stay far below the timeout of a test."""

MORE = 16
"""Shares that are added where the first ones miss a transition: some come once in a thousand."""


@functools.cache
def play(share: int) -> Batch:
    return Batch().run(range(share * SHARE, (share + 1) * SHARE))


@pytest.mark.parametrize("share", range(SHARES))
def test_no_byte_is_lost_and_none_invented(share: int) -> None:
    batch = play(share)
    assert not batch.failed, batch.describe()


@pytest.mark.timeout(300)  # alone, it plays everything
def test_a_batch_reaches_every_transition_that_faults_bring_about() -> None:
    whole = Batch()
    for share in range(SHARES + MORE):
        if share < SHARES or whole.missed():
            whole.visited += play(share).visited
    assert not whole.missed()
    assert not NEVER.keys() & whole.visited.keys()
    assert NEVER.keys() <= transitions()


@pytest.mark.parametrize("seed", range(5000, 5010))
def test_a_seed_is_played_the_same_way_each_time(seed: int) -> None:
    assert simulate(seed).trace == simulate(seed).trace


def test_a_thread_that_another_test_has_left_throws_no_dice_here() -> None:
    """It asks as the library's I/O thread does, for the masks of what it sends."""
    before, over = simulate(5002).trace, threading.Event()

    def ask() -> None:
        while not over.is_set():
            os.urandom(4)

    left = threading.Thread(target=ask)
    left.start()
    try:
        assert simulate(5002).trace == before
    finally:
        over.set()
        left.join()


def test_a_seed_is_played_the_same_way_in_another_process() -> None:
    """Whose hashes of strings differ, and whose modules have another history."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", "5003", "--trace"]
    top = Path(__file__).parents[2]
    told = [
        subprocess.run(
            command,
            cwd=top,
            env={"PYTHONHASHSEED": salt, "PYTHONPATH": str(top)},
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        ).stdout
        for salt in ("1", "2")
    ]
    assert told[0] == told[1]
    assert len(told[0].splitlines()) == len(simulate(5003).trace) + 1


LATE = """
import sys, time
clock = time.monotonic

class Look:
    def find_spec(self, name, path, target=None):
        if time.monotonic is not clock and name.startswith(("gateway", "lambda_client", "protocol")):
            print(name)

sys.meta_path.insert(0, Look())
from tests.simulation.world import simulate
for seed in range(30):
    simulate(seed)
"""


def test_nothing_is_imported_in_virtual_time() -> None:
    """It would keep a clock of that simulation; and the first one of a process would not be as the others."""
    told = subprocess.run(
        [sys.executable, "-c", LATE],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    assert told.stdout == ""
