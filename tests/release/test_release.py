"""``make release``: the same bytes every time, and nothing that is not fit."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.packing import ROOT, offline, pack_library

if TYPE_CHECKING:
    from pathlib import Path

ARCH = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
PYTHON = "{}.{}".format(*sys.version_info)


def release(
    out: Path, wheels: Path, script: Path = ROOT / "deploy/release.py"
) -> subprocess.CompletedProcess[str]:
    """Make a release with the one layer whose wheels are here."""
    return subprocess.run(
        [sys.executable, script, "--out", out, "--python", PYTHON, "--arch", ARCH],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, **offline(wheels)},
    )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_library(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    out = tmp_path_factory.mktemp("release") / "dist"
    done = release(out, wheels)
    assert done.returncode == 0, done.stderr
    return out


def test_it_has_wheel_sdist_layer_and_their_sums(dist: Path) -> None:
    kinds = {"".join(file.suffixes[-1:]) for file in dist.iterdir()}
    assert kinds == {".whl", ".gz", ".zip", ""}
    lines = (dist / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = [file for file in dist.iterdir() if file.suffix]
    assert sums == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_it_is_the_same_again(dist: Path, wheels: Path, tmp_path: Path) -> None:
    assert release(tmp_path, wheels).returncode == 0
    assert (tmp_path / "SHA256SUMS").read_text() == (dist / "SHA256SUMS").read_text()


def test_the_wheel_has_code_and_licence_only(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "gateway",
        "lambda_client",
        "protocol",
    }
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    code = [name for name in names if ".dist-info/" not in name]
    assert {name.rpartition(".")[2] for name in code} == {"py", "typed"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sources, to be spoilt."""
    # Other tests compile modules meanwhile, by way of files that come and go.
    compiled = shutil.ignore_patterns("__pycache__")
    for name in ("deploy", "gateway", "lambda_client", "protocol"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=compiled)
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("## 0.0.9 (2026-01-01)\n\n- something\n", "CHANGELOG.md has no section for 0.1.0"),
        ("## 0.1.0 (2026-01-01)\n\n### Added\n\n## 0.0.9\n\n- x\n", "says nothing of 0.1.0"),
    ],
)
def test_without_a_word_in_the_changelog_there_is_no_release(
    copy: Path, wheels: Path, section: str, said: str
) -> None:
    (copy / "CHANGELOG.md").write_text(f"# Changelog\n\n{section}")
    done = release(copy / "dist", wheels, copy / "deploy/release.py")
    assert done.returncode == 1
    assert done.stderr.startswith("not fit for release: CHANGELOG.md ")
    assert said in done.stderr
    assert not (copy / "dist").exists()


def test_a_wheel_that_lacks_a_file_is_not_released(copy: Path, wheels: Path) -> None:
    project = copy / "pyproject.toml"
    text = project.read_text()
    project.write_text(text.replace('exclude = ["ruff.toml"', 'exclude = ["py.typed"', 1))
    assert project.read_text() != text
    done = release(copy / "dist", wheels, copy / "deploy/release.py")
    assert done.returncode == 1
    assert "gateway/py.typed" in done.stderr
    assert not (copy / "dist").exists()
