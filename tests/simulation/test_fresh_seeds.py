"""Whole exchanges under random faults that nobody has seen before."""

from __future__ import annotations

import random

import pytest

from tests.simulation.batch import Batch

SHARES, SHARE = 10, 150


@pytest.mark.parametrize("share", range(SHARES))
def test_no_byte_is_lost_and_none_invented(share: int) -> None:
    begin = random.SystemRandom().randrange(10**6, 10**9)
    print(f"python -m tests.simulation --seeds {begin}..{begin + SHARE}")
    batch = Batch().run(range(begin, begin + SHARE))
    assert not batch.failed, batch.describe()
