from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.invoke.emulated import Emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    """Functions that are gone after the test."""
    emulator = Emulator(tmp_path)
    yield emulator
    await emulator.aclose()
