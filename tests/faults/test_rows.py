"""Every row of the fault matrix has a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.coverage import Proof, proofs
from tests.faults.rows import ROWS

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = [row.number for row in ROWS]
SOURCE = """
import pytest

pytestmark = [pytest.mark.fault(3), pytest.mark.slow]

@pytest.mark.fault(1, "30b")
def test_one(): ...

class TestMore:
    @pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.fault(2))])
    async def test_two(x): ...

def helper(): ...
"""


def test_every_row_that_needs_no_shared_journal_is_proven() -> None:
    wanted = {row.number for row in ROWS if not row.shared_journal}
    assert wanted - set(proofs()) == set()


def test_no_test_claims_a_row_that_is_not_there() -> None:
    assert set(proofs()) <= set(NUMBERS)
    assert len(set(NUMBERS)) == len(NUMBERS)


def test_claims_are_read_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(SOURCE)
    one, two = Proof("test_a.py", "test_one"), Proof("test_a.py", "test_two")
    assert proofs(tmp_path) == {"1": [one], "30b": [one], "2": [two], "3": [one, two]}
