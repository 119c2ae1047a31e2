"""A small run of the measure: what it says is not absurd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import parked

if TYPE_CHECKING:
    import pytest


async def test_a_parked_callback_costs_some_kilobytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked, "WARM_UP", 20)
    assert await parked.measure(50) < 40
