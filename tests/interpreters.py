"""The Pythons of this machine that dialback runs on: those on the path, and those that pyenv has.

python -m tests.interpreters                        the whole suite on each (``make test-all-pythons``)
python -m tests.interpreters tests/protocol -x      what pytest is given, on each

Each has a virtual environment of its own, .venv-3.N, made the first time; the suite takes some five minutes on each.
Exit code 1 if it failed on one; a Python that is not here is named, and no failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests import entry

VERSIONS = ("3.11", "3.12", "3.13")
"""Those that are promised; 3.14 as soon as one can be had, and all dependencies for it."""

ROOT = Path(__file__).parents[1]
EXTRAS = "gateway,local,aws,speedups,test"


@cache
def found() -> dict[str, Path]:
    """Return one interpreter for each version that is here."""
    everything = {version: _find(version) for version in VERSIONS}
    return {version: path for version, path in everything.items() if path is not None}


def _find(version: str) -> Path | None:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    on_path = shutil.which(f"python{version}")
    candidates = [*sorted(pyenv.glob(f"versions/{version}.*/bin/python")), on_path]
    return next((Path(one) for one in candidates if one and _runs(Path(one), version)), None)


def _runs(python: Path, version: str) -> bool:
    """Tell whether it is that version (pyenv's shims are there, and refuse) and can make environments."""
    code = "import ensurepip, ssl, sys; print('{}.{}'.format(*sys.version_info))"
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout.strip() == version


def environment(version: str) -> Path:
    """Make an environment with everything that the suite needs; return its python."""
    folder = ROOT / f".venv-{version}"
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([str(found()[version]), "-m", "venv", str(folder)], check=True)
    subprocess.run([python, ROOT / "deploy/install.py", EXTRAS], check=True)
    return python


def main() -> int:
    """Run the suite on each; tell how each did."""
    parser = entry.parser("tests.interpreters", __doc__)
    parser.usage = "python -m tests.interpreters [-h] [ARGUMENT OF PYTEST ...]"
    _, arguments = parser.parse_known_args()
    verdicts = {}
    for version in VERSIONS:
        if version not in found():
            verdicts[version] = "not on this machine"
            continue
        command = [str(environment(version)), "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
        code = subprocess.run([*command, *arguments], cwd=ROOT, check=False).returncode
        verdicts[version] = "passed" if code == 0 else f"FAILED (exit code {code})"
    for version, verdict in verdicts.items():
        print(f"Python {version}: {verdict}")
    return int(any(verdict.startswith("FAILED") for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
