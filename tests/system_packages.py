"""Programs of the operating system that tests use: missing ones skip a test by name, or fail it."""

from __future__ import annotations

import os
import shutil

import pytest


def require_program(*names: str) -> str:
    """Return the path of the first of these programs that is installed.

    Without any, the test is skipped and says so; with REQUIRE_SYSTEM_PACKAGES in the environment
    (as in CI) it fails instead.
    """
    for name in names:
        if (path := shutil.which(name)) is not None:
            return path
    reason = f"{names[0]} is not installed"
    if os.environ.get("REQUIRE_SYSTEM_PACKAGES"):
        pytest.fail(reason)
    pytest.skip(reason)
