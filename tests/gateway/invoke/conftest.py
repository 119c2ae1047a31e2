from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.invoke.local import function, worker
from tests.gateway.invoke.emulated import Emulator
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    """Functions that are gone after the test."""
    emulator = Emulator(tmp_path)
    yield emulator
    await emulator.aclose()


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes any time to run the few lines between an answer and the next request for work."""
    for module, grace in (
        (function, "RETURN_GRACE"),
        (function, "THROTTLE_GRACE"),
        (worker, "RETURN_GRACE"),
    ):
        monkeypatch.setattr(module, grace, PATIENCE)
