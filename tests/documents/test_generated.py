"""What the documents take from the code is not stale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.generated_docs import GENERATED, renewed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("path", "name", "make"), GENERATED, ids=[name for _, name, _ in GENERATED]
)
def test_what_is_generated_is_fresh(path: Path, name: str, make: Callable[[], str]) -> None:
    page = path.read_text()
    assert page == renewed(page, name, make()), "run `make docs`"
