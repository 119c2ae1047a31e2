"""Commands as tests run them: bounded in time, and a failure tells what was said."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def output_of(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Return what a command prints.

    Args:
        command: with its arguments.
        cwd: where it runs; by default, here.
        env: variables beside those that are there, and in place of them.

    Raises:
        AssertionError: it failed; the text is what it said.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
