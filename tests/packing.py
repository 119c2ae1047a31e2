"""Wheels of what is installed, packed again, and nothing asked of an index.

pip finds them with ``PIP_NO_INDEX`` and ``PIP_FIND_LINKS`` (`offline`).
"""

from __future__ import annotations

import os
import re
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[1]


def offline(wheels: Path) -> dict[str, str]:
    """Return the variables that make pip look into this folder only."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}


def pack_all(requirements: Iterable[str], folder: Path) -> None:
    """Make the wheels that these requirements need, and those that they need in turn."""
    for name in closure(requirements):
        pack_again(name, folder)


def pack_library(folder: Path, *, pure: bool = False) -> Path:
    """Make the wheels that `lambda_client` needs, and return their folder; `pure` as `pack_again` has it."""
    for name in ("websockets", "msgpack"):
        pack_again(name, folder, pure=pure)
    return folder


def ours(*extras: str) -> list[str]:
    """Return what dialback itself asks for, with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(text for extra in extras for text in optional[extra])]


def closure(requirements: Iterable[str]) -> set[str]:
    """Return the names of all distributions that these requirements bring, by their own metadata."""
    found: set[str] = set()
    seen: set[str] = set()
    wanted = list(requirements)
    while wanted:
        text = wanted.pop()
        if text not in seen:
            seen.add(text)
            requirement = Requirement(text)
            found.add(canonicalize_name(requirement.name))
            wanted += _needs(requirement)
    return found


def _needs(requirement: Requirement) -> Iterator[str]:
    for text in distribution(requirement.name).requires or ():
        needed = Requirement(text)
        extras = ({"extra": extra} for extra in ("", *requirement.extras))
        if needed.marker is None or any(map(needed.marker.evaluate, extras)):
            needed.marker = None
            yield str(needed)


def pack_again(name: str, folder: Path, *, pure: bool = False) -> Path:
    """Make a wheel of an installed distribution.

    Args:
        name: of the distribution.
        folder: where the wheel goes.
        pure: leave compiled modules out, so that it fits every interpreter (and runs slower).
    """
    installed = distribution(name)
    tags = re.findall(
        r"^Tag: (\S+?)-(\S+?)-(\S+)$", installed.read_text("WHEEL") or "", re.MULTILINE
    )
    # Each of the three parts may have several values: one tag for every combination.
    compressed = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    tag = "py3-none-any" if pure else compressed
    stem = canonicalize_name(name).replace("-", "_")
    wheel = folder / f"{stem}-{installed.version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in installed.files or ():
            if file.parts[0] != ".." and file.suffix not in {".pyc", *((".so",) if pure else ())}:
                archive.write(str(file.locate()), str(file))
    return wheel
