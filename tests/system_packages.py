"""Programs and modules that not every machine has, and tests use: missing ones skip a test by name, or fail it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest


def require_program(*names: str) -> str:
    """Return the path of the first of these programs that is installed.

    Without any, the test is skipped and says so; with REQUIRE_SYSTEM_PACKAGES in the environment
    (as in CI) it fails instead.
    """
    for name in names:
        if (path := shutil.which(name)) is not None:
            return path
    return _missing(names[0])


def require_module(name: str) -> None:
    """Skip the test unless this module can be imported, or fail it, like `require_program`."""
    if importlib.util.find_spec(name) is None:
        _missing(name)


def _missing(name: str) -> NoReturn:
    reason = f"{name} is not installed"
    if os.environ.get("REQUIRE_SYSTEM_PACKAGES"):
        pytest.fail(reason)
    pytest.skip(reason)
