"""The linter of CloudFormation, on one file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CFN_LINT = Path(sys.executable).with_name("cfn-lint")


def lint(file: Path) -> None:
    """Run it, warnings and all.

    Raises:
        AssertionError: it has something to say.
    """
    done = subprocess.run([CFN_LINT, file], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
