"""One gateway for each file of fault tests, one stage for each test."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.faults.behind import dialback_behind_proxy
from tests.faults.stage import FUNCTIONS, TIMERS, Stage
from tests.system.running import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.proxy import Proxy
    from tests.system.running import Dialback

FUNCTION_SECONDS = 40
"""What functions are given: so much that no test runs into it on the busiest machine."""

BRIEF_SECONDS = 12
"""A third of it, which bounds their dialling, is shorter than the gateway waits for them to come back."""


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Dialback, Proxy]]:
    flags = (f"--timeout={FUNCTION_SECONDS}", "--concurrency=2")
    with dialback_behind_proxy(f"{FUNCTIONS}:handler", *flags, env=TIMERS) as both:
        yield both


@pytest.fixture
def brief(tmp_path: Path) -> Iterator[Stage]:
    """A gateway for one test, whose functions soon give up dialling."""
    flag = f"--timeout={BRIEF_SECONDS}"
    with (
        dialback_behind_proxy(f"{FUNCTIONS}:handler", flag, env=TIMERS) as both,
        closing(Stage(*both, tmp_path)) as stage,
    ):
        yield stage


@pytest.fixture
def stage(behind: tuple[Dialback, Proxy], tmp_path: Path) -> Iterator[Stage]:
    dialback, _ = behind
    eventually(lambda: not dialback.metric("dialback_callbacks"))  # those of the test before
    stage = Stage(*behind, tmp_path)
    yield stage
    stage.close()
