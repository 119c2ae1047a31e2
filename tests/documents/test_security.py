"""SECURITY.md claims nothing that no test proves."""

from __future__ import annotations

import ast
import re

import pytest

from tests.documents.blocks import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()
PROOF = re.compile(r"\[(\w+)\]\((tests/[\w/]+\.py)\)")
CLAIMS = [line for line in PAGE.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("proof", sorted(set(PROOF.findall(PAGE))), ids=lambda proof: proof[0])
def test_a_test_that_is_named_is_there(proof: tuple[str, str]) -> None:
    name, path = proof
    tree = ast.parse((ROOT / path).read_text())
    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert f"test_{name}" in defined


def test_every_claim_names_one() -> None:
    heads = ("| listener |", "| what ")
    without = [line for line in CLAIMS if not PROOF.search(line) and not line.startswith(heads)]
    # What is left is the table of listeners, which says who may and not what cannot.
    assert [line.split(" | ")[0] for line in without] == ["| edge", "| callback", "| admin"]
