"""Every document is followed word for word: its files written, its commands run, their output compared."""

from __future__ import annotations

import ast
import json
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from gateway.config import load
from gateway.routes import build_routes
from tests.commands import output_of
from tests.documents import aws_commands
from tests.documents.blocks import PAGES, ROOT, Block, blocks
from tests.documents.reader import Reader
from tests.system_packages import require_program

if TYPE_CHECKING:
    from pathlib import Path

PICTURES = {"": "a drawing", "mermaid": "a drawing", "js": "the code of others, to compare with"}
"""Languages that nobody runs, and why."""

BEFORE = {
    "docs/frameworks.md": "import django.conf; django.conf.settings.configure(ROOT_URLCONF=())\n"
    "from fastapi import FastAPI\nfrom aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver\n"
    "app = LambdaFunctionUrlResolver()\n"
}
"""What stands in the reader's own file above the snippets of a page."""

DESK = {
    "app.py": "def handler(event, context):\n    return 'ok'\n",
    "dialback.toml": '[[routes]]\npath = "/"\ntarget = "local:app.py:handler"\n',
}
"""What the readers of all pages but the first two have already."""

PARSERS = {"json": json.loads, "yaml": yaml.safe_load}

FIRST = ("README.md", "docs/start.md")

FOLLOWED = [page for page in PAGES if any(block.language not in PICTURES for block in blocks(page))]


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_document_can_be_followed(page: Path, tmp_path: Path) -> None:
    require_program("curl")
    with Reader(tmp_path) as reader:
        if str(page.relative_to(ROOT)) not in FIRST:
            for name, text in DESK.items():
                reader.write(name, text)
        for block in blocks(page):
            try:
                follow(reader, block)
            except Exception as error:
                raise AssertionError(f"{block}: {error}") from error


def follow(reader: Reader, block: Block) -> None:
    """Do what one block says."""
    match block.language:
        case "sh":
            for command in block.commands:
                if command.startswith("aws "):
                    aws_commands.check(command)
                else:
                    reader.run(command)
        case "text":
            reader.expect(block.text)
        case "python" if block.file:
            ast.parse(block.text)
            reader.write(block.file, block.text)
        case "python":
            run_snippet(block)
        case "toml":
            path = reader.write(block.file or "dialback.toml", block.text)
            build_routes(load(path, {}).routes)
        case "json" | "yaml" as language:
            assert PARSERS[language](block.text)
        case language:
            assert language in PICTURES, f"how is ```{language} followed?"


def run_snippet(block: Block) -> None:
    """Run a snippet as a module of its own."""
    before = BEFORE.get(str(block.page.relative_to(ROOT)), "")
    output_of(sys.executable, "-c", before + block.text, cwd=ROOT)
