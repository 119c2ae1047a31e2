"""What ``make`` installs the first time: it says how far it is, and what to do when it stops."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.packing import ROOT, offline, pack_again

if TYPE_CHECKING:
    from pathlib import Path

OFTEN = "import sys, install; install.EVERY = 0.01; sys.exit(install.main())"

BACKEND = """
import zipfile

METADATA = '''Metadata-Version: 2.1
Name: small
Version: 1
Provides-Extra: runs
Requires-Dist: websockets; extra == "runs"
'''

def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/small-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small-1.dist-info/METADATA", METADATA)
        wheel.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("small-1.dist-info/RECORD", "")
    return "small-1-py3-none-any.whl"
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is quickly installed, with an environment, and the script beside it."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "deploy").mkdir()
    for name in ("install.py", "constraints.txt"):
        (folder / "deploy" / name).write_text((ROOT / "deploy" / name).read_text())
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True, timeout=50)
    return folder


def install(small: Path, wheels: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [small / ".venv/bin/python", "-c", OFTEN, "runs"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, **offline(wheels), "PYTHONPATH": str(small / "deploy")},
    )


def test_it_says_what_to_do_when_pip_stops(small: Path, tmp_path: Path) -> None:
    done = install(small, tmp_path)
    assert done.returncode == 1
    assert "ERROR: " in done.stderr  # pip's own words
    assert "PIP_INDEX_URL" in done.stderr
    assert "Installed" not in done.stdout


def test_it_says_how_far_it_is(small: Path, tmp_path: Path) -> None:
    pack_again("websockets", tmp_path)
    done = install(small, tmp_path)
    assert done.returncode == 0, done.stderr
    first, *lines, last = done.stdout.splitlines()
    assert first.startswith("Installing dialback with runs into ")
    assert last.startswith("Installed, after ")
    said = [re.fullmatch(r" *\d+ s  (.+)", line) for line in lines]
    phases = [match[1] for match in said if match]
    assert len(phases) == len(lines)
    assert "fetched 1 packages" in phases
    assert any(phase.startswith("unpacked ") for phase in phases)
    assert phases[-1].endswith(" of 2 packages")
