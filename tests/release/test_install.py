"""What ``make`` installs the first time: it says how far it is, and what to do when it stops."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands import output_of
from tests.packing import ROOT, offline, pack_again
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

OFTEN = """
import sys, install

class Told(install.Progress):
    def take(self, line):
        super().take(line)
        print("then:", self, flush=True)

install.EVERY, install.Progress = 0.01, Told
sys.exit(install.main())
"""
"""Says how far it is again and again, and beside that after each line of pip's."""

BUILT_AFTER = 20.0
"""Seconds after which the project is built although nobody has opened the gate."""

BACKEND = """
import os, pathlib, time, zipfile

METADATA = '''Metadata-Version: 2.1
Name: small
Version: 1
Provides-Extra: runs
Requires-Dist: websockets; extra == "runs"
'''

def prepare_metadata_for_build_editable(folder, config_settings=None):
    info = pathlib.Path(folder, "small-1.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    return info.name

def build_editable(folder, config_settings=None, metadata_directory=None):
    until = time.monotonic() + %s
    while not os.path.exists("gate") and time.monotonic() < until:
        time.sleep(0.01)
    with zipfile.ZipFile(f"{folder}/small-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small-1.dist-info/METADATA", METADATA)
        wheel.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("small-1.dist-info/RECORD", "")
    return "small-1-py3-none-any.whl"
"""
"""Builds once the gate is there: by then pip has fetched what is wanted, and has not begun to unpack it."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is quickly installed, with an environment, and the script beside it."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "deploy").mkdir()
    for name in ("install.py", "constraints.txt"):
        (folder / "deploy" / name).write_text((ROOT / "deploy" / name).read_text())
    (folder / "backend.py").write_text(BACKEND % BUILT_AFTER)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    output_of(sys.executable, "-m", "venv", "--without-pip", folder / ".venv")
    # The pip that is here: to unpack another takes longer than all the rest.
    (packages,) = folder.glob(".venv/lib/python3*/site-packages")
    (packages / "pip").symlink_to(Path(sysconfig.get_path("purelib"), "pip"))
    return folder


@contextmanager
def installing(small: Path, wheels: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [small / ".venv/bin/python", "-c", OFTEN, "runs"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **offline(wheels), "PYTHONPATH": str(small / "deploy")},
    ) as process:
        yield process


def test_it_says_what_to_do_when_pip_stops(small: Path, tmp_path: Path) -> None:
    with installing(small, tmp_path) as process:
        said, complained = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "ERROR: " in complained  # pip's own words
    assert "PIP_INDEX_URL" in complained
    assert "Installed" not in said


def test_it_says_how_far_it_is(small: Path, tmp_path: Path) -> None:
    pack_again("websockets", tmp_path)
    lines: list[str] = []
    with installing(small, tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if re.fullmatch(r" *\d+ s  fetched 1 packages", lines[-1]):
                (small / "gate").touch()
        assert process.stderr is not None
        complained = process.stderr.read()
    assert process.returncode == 0, complained
    first, *phases, last = lines
    assert first.startswith("Installing dialback with runs into ")
    assert last.startswith("Installed, after ")
    assert all(re.fullmatch(r"( *\d+ s  |then: ).+", phase) for phase in phases)
    assert (small / "gate").exists(), "it said so while pip was waiting"
    told = [phase.removeprefix("then: ") for phase in phases if phase.startswith("then: ")]
    assert [one for one in dict.fromkeys(told) if "unpacked" not in one] == [
        "reading what is wanted",
        "fetched 1 packages",
    ]
    assert told[-1] == "unpacked 2 of 2 packages"
