"""Build what a release consists of, and check it: wheel, sdist, Lambda layers, and their SHA-256 sums.

make release                                everything, into dist/
python deploy/release.py --out DIR --python 3.13 --arch arm64

The same sources and versions give the same bytes. Nothing is published.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

import layer
from packaging.metadata import Metadata

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
"""Python runtimes of Lambda that `requires-python` admits and that the tests run on."""

PACKAGES = {"gateway", "lambda_client", "protocol"}


class ReleaseError(Exception):
    """Something is not fit to be released; the message says what, and what to do."""


def main() -> int:
    """Build what the command line says; print each file and its size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder (dist)")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="layers of it (all)")
    parser.add_argument("--arch", action="append", choices=layer.MACHINES, help="only this (both)")
    options = parser.parse_args()
    try:
        notes = check_changelog((ROOT / "CHANGELOG.md").read_text(), version())
        files = build(options.out, options.python or PYTHONS, options.arch or list(layer.MACHINES))
    except ReleaseError as error:
        print(f"not fit for release: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{file}  {file.stat().st_size / 1024:.0f} KiB")
    print(notes)
    return 0


def version() -> str:
    """Return the version that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def check_changelog(text: str, wanted: str) -> str:
    """Return one line on the changelog's section for this version.

    Raises:
        ReleaseError: there is none, or nothing stands in it.
    """
    section = re.search(
        rf"^## {re.escape(wanted)}(?: \((.*)\))?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    if section is None:
        raise ReleaseError(f"CHANGELOG.md has no section for {wanted}; write `## {wanted} (DATE)`")
    if not re.search(r"^- ", section[2], re.MULTILINE):
        raise ReleaseError(f"CHANGELOG.md says nothing of {wanted}; add what changed")
    if section[1] == "unreleased":
        return f"{wanted} is unreleased in CHANGELOG.md: put the date there before it is published"
    return f"{wanted} of {section[1]}"


def build(out: Path, pythons: tuple[str, ...] | list[str], archs: list[str]) -> list[Path]:
    """Write everything into a folder; return the files.

    Raises:
        ReleaseError: what came out is not right; the folder is as it was.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _hatch(ROOT, folder, "wheel", "sdist")
        (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
        check_wheel(wheel)
        check_sdist(sdist, wheel)
        for python in pythons:
            for arch in archs:
                _layer(folder / layer.name(arch, python), arch, python)
        files = sorted(folder.iterdir())
        sums = "".join(f"{_digest(file)}  {file.name}\n" for file in files)
        out.mkdir(parents=True, exist_ok=True)
        (out / "SHA256SUMS").write_text(sums)
        return [file.replace(out / file.name) for file in files]


def check_wheel(wheel: Path) -> None:
    """See that it holds our packages whole and nothing else, and metadata that an index takes.

    Raises:
        ReleaseError: it does not.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"dialback-{version()}.dist-info/METADATA")
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".typed")
    }
    if names != wanted:
        raise ReleaseError(f"the wheel's files are not those of the packages: {names ^ wanted}")
    Metadata.from_email(metadata, validate=True)  # raises what an index would complain of


def check_sdist(sdist: Path, wheel: Path) -> None:
    """See that the same wheel can be built from it alone.

    Raises:
        ReleaseError: it cannot.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        _hatch(folder / sdist.name.removesuffix(".tar.gz"), folder, "wheel")
        if (folder / wheel.name).read_bytes() != wheel.read_bytes():
            raise ReleaseError("the wheel built from the sdist is another one")


def _layer(file: Path, arch: str, python: str) -> None:
    layer.build(file, arch, python)
    if file.stat().st_size > layer.SIZE_MAX:
        raise ReleaseError(f"{file.name} has more than {layer.SIZE_MAX} bytes")


def _hatch(source: Path, out: Path, *targets: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    command += [word for target in targets for word in ("--target", target)]
    done = subprocess.run(  # noqa: S603 - our own interpreter, and no word of a stranger
        command, cwd=source, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ReleaseError(f"hatchling could not build {', '.join(targets)}:\n{done.stderr}")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
