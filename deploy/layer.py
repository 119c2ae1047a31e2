"""Build the Lambda layer: `lambda_client` and what it needs, as one zip for each architecture.

make layer                         both architectures, for the Python that runs this
make layer LAYER_PYTHON=3.13       for another runtime

The same sources and versions give the same bytes. Wheels come through pip, as its own configuration says.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
OURS = ("lambda_client", "protocol")
WHEELS = ("websockets", "msgpack")
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's names of the architectures, and those of wheels."""

MANYLINUX = ("manylinux2014", "manylinux_2_17")
"""What runs on every runtime there is: Amazon Linux 2 has glibc 2.26."""

SIZE_MAX = 800 * 1024
"""Bytes that a layer may have, zipped: a download of it at cold start is not felt."""

_FOLDER = "python"  # where Lambda puts a layer's packages on the path
_TIME = (1980, 1, 1, 0, 0, 0)  # a zip's earliest: builds of other days are the same
_MODE = 0o644 << 16

# The library is used without its own I/O; a function that wants that brings the whole of it.
_LEFT_OUT = ("websockets/asyncio", "websockets/legacy", "websockets/sync", "websockets/trio")
_LEFT_OUT_FILES = ("websockets/cli.py", "websockets/__main__.py")
_SUFFIXES = (".py", ".so", ".typed")
_KEPT_OF_DIST_INFO = ("METADATA", "COPYING", "LICENSE")


def main() -> int:
    """Build what the command line says; print each file and its size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", action="append", choices=MACHINES, help="only this (both)")
    parser.add_argument(
        "--python",
        default="{}.{}".format(*sys.version_info),
        metavar="3.N",
        help="of the functions' runtime (%(default)s)",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder (dist)")
    options = parser.parse_args()
    too_large = False
    for arch in options.arch or MACHINES:
        layer = options.out / name(arch, options.python)
        layer.parent.mkdir(parents=True, exist_ok=True)
        build(layer, arch, options.python)
        size = layer.stat().st_size
        too_large |= size > SIZE_MAX
        print(f"{layer}  {size / 1024:.0f} KiB of {SIZE_MAX // 1024}")
    return int(too_large)


def name(arch: str, python: str) -> str:
    """Return the file name of a layer."""
    return f"dialback-layer-python{python}-{arch}.zip"


def build(layer: Path, arch: str, python: str) -> None:
    """Write one zip.

    Raises:
        subprocess.CalledProcessError: pip found no wheel that fits.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheels = _download(Path(folder), MACHINES[arch], python)
        files = {path: data for wheel in wheels for path, data in _of_wheel(wheel)}
    files |= dict(_of_ours())
    with zipfile.ZipFile(layer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(f"{_FOLDER}/{path}", _TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, _MODE
            archive.writestr(entry, files[path])


def _download(folder: Path, machine: str, python: str) -> list[Path]:
    platforms = [f"--platform={glibc}_{machine}" for glibc in MANYLINUX]
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}"),
        *(*platforms, f"--constraint={ROOT / 'deploy/constraints.txt'}", f"--dest={folder}"),
        *WHEELS,
    ]
    subprocess.run(command, check=True)  # noqa: S603 - our own interpreter, and no word of a stranger
    return sorted(folder.glob("*.whl"))


def _of_wheel(wheel: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if _is_needed(PurePosixPath(name)):
                yield name, archive.read(name)


def _is_needed(path: PurePosixPath) -> bool:
    """Tell whether a file of a wheel runs in a function, or is its licence."""
    name = str(path)
    if path.parts[0].endswith(".dist-info"):
        return path.name in _KEPT_OF_DIST_INFO
    left_out = name.startswith(_LEFT_OUT) or name in _LEFT_OUT_FILES
    return path.suffix in _SUFFIXES and not left_out


def _of_ours() -> Iterator[tuple[str, bytes]]:
    for package in OURS:
        for path in (ROOT / package).rglob("*"):
            if path.suffix in _SUFFIXES:
                yield path.relative_to(ROOT).as_posix(), path.read_bytes()
    yield "lambda_client/LICENSE", (ROOT / "LICENSE").read_bytes()


if __name__ == "__main__":
    sys.exit(main())
