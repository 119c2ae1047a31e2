"""The linters' word on the container files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.packing import ROOT

HADOLINT = Path(sys.executable).with_name("hadolint")


def test_the_dockerfile() -> None:
    done = subprocess.run(
        [HADOLINT, "--no-color", ROOT / "deploy/container/Dockerfile"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
