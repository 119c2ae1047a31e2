"""``deploy/constraints.txt``: one version for everything that is ever installed, and nothing else."""

from __future__ import annotations

import sys
from importlib.metadata import version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.interpreters import EXTRAS, VERSIONS
from tests.packing import ROOT, closure, ours

PINS = [Requirement(line) for line in (ROOT / "deploy/constraints.txt").read_text().splitlines()]
NAMES = {canonicalize_name(pin.name) for pin in PINS}
NEEDED = {canonicalize_name(name) for name in closure(ours(*EXTRAS.split(","), "aws"))}


def test_everything_has_its_version() -> None:
    assert len(NAMES) == len(PINS)
    assert all(str(pin.specifier).startswith("==") for pin in PINS)
    assert not NEEDED - NAMES, "add their versions"


def test_nothing_is_left_over() -> None:
    oldest = "{}.{}".format(*sys.version_info) == VERSIONS[0]  # newer ones want fewer backports
    assert not oldest or not NAMES - NEEDED, "nobody needs them any more"


def test_what_is_installed_is_what_is_pinned() -> None:
    installed = {
        pin.name: version(pin.name) for pin in PINS if canonicalize_name(pin.name) in NEEDED
    }
    wrong = [pin.name for pin in PINS if not pin.specifier.contains(installed.get(pin.name, "0"))]
    assert not [name for name in wrong if name in installed]
