"""The fenced blocks of every document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"))
    if path.name != "CHANGELOG.md"
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"^# ([\w./-]+\.\w+)$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        page: the document.
        line: where it begins in there, from 1.
        language: behind the fence; empty for a picture.
        text: what is in it.
    """

    page: Path
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is the content of, as its first line says: ``# app.py``."""
        name = _NAME.match(self.text.partition("\n")[0])
        return name[1] if name else None

    @property
    def commands(self) -> list[str]:
        """Its shell commands, without comments, continued lines joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [
            line.partition("  #")[0].strip()
            for line in lines
            if line.strip(" #")[:1] and not line.startswith("#")
        ]

    @override
    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a document, in order."""
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _FENCE.finditer(text)
    ]
