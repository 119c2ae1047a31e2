"""Tell when a function's code changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchfiles import PythonFilter, awatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# An editor writes a file in several steps; a person waits for less than a quarter of a second.
_DEBOUNCE_MS: Final = 200
_STEP_MS: Final = 50


async def watch_code(directory: Path, changed: Callable[[], None]) -> None:
    """Call `changed` whenever Python files below `directory` have changed, until cancelled.

    Virtual environments, caches and hidden folders do not count.
    """
    async for _ in awatch(
        directory,
        watch_filter=PythonFilter(),
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
    ):
        changed()
