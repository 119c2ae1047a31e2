"""One gateway for each file of fault tests, one stage for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.behind import dialback_behind_proxy
from tests.faults.stage import FUNCTIONS, TIMERS, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.proxy import Proxy
    from tests.system.running import Dialback

FUNCTION_SECONDS = 12
"""What functions are given: a busy machine may take five for the longest test, and the third of it that
bounds their dialling is a short wait."""


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Dialback, Proxy]]:
    flags = (f"--timeout={FUNCTION_SECONDS}", "--concurrency=2")
    with dialback_behind_proxy(f"{FUNCTIONS}:handler", *flags, env=TIMERS) as both:
        yield both


@pytest.fixture
def stage(behind: tuple[Dialback, Proxy], tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(*behind, tmp_path)
    yield stage
    stage.close()
