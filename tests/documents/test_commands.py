"""Every command of the documents and of the Makefile can be asked what it does, and says it with an example."""

from __future__ import annotations

import re
import sys

import pytest

from tests.commands import output_of
from tests.documents.blocks import PAGES, ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TEXT = MAKEFILE + "".join(page.read_text() for page in PAGES)

MODULES = sorted({f"-m {name}" for name in re.findall(r"python -m (tests[\w.]*)", TEXT)})
SCRIPTS = sorted(set(re.findall(r"python (deploy/[\w/]+\.py)", MAKEFILE)))


@pytest.mark.parametrize("command", [*MODULES, *SCRIPTS])
def test_a_command_explains_itself_before_it_does_anything(command: str) -> None:
    said = output_of(sys.executable, *command.split(), "--help", cwd=ROOT)
    usage, purpose, examples, *_ = said.split("\n\n")
    assert usage.startswith("usage: ")
    assert purpose.endswith((".", ":"))
    assert re.match(rf"(\.venv/bin/)?python {command}|make ", examples)


def test_make_help_lists_every_target() -> None:
    said = output_of("make", "help", cwd=ROOT)
    listed = re.findall(r"^  make ([a-z-]+) +\S", said, re.MULTILINE)
    assert listed == re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert sorted(listed) == sorted(phony[1].split())
