"""Which tests claim which rows, read from their source: nothing is run."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, order=True)
class Proof:
    """A test that carries the mark.

    Attributes:
        path: its file, relative to tests/.
        test: its name.
    """

    path: str
    test: str


def proofs(root: Path = TESTS) -> dict[str, list[Proof]]:
    """Return, for each row that is claimed, the tests that claim it, in the order of their names."""
    found: dict[str, list[Proof]] = {}
    for file in sorted(root.rglob("test_*.py")):
        for test, rows in _claims(ast.parse(file.read_text())):
            for row in rows:
                found.setdefault(row, []).append(Proof(file.relative_to(root).as_posix(), test))
    return {row: sorted(set(tests)) for row, tests in found.items()}


def _claims(module: ast.Module) -> Iterator[tuple[str, list[str]]]:
    everywhere = [
        row
        for node in module.body
        if isinstance(node, ast.Assign) and _assigns(node, "pytestmark")
        for row in _marked(node.value)
    ]
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test"
        ):
            own = [row for decorator in node.decorator_list for row in _marked(decorator)]
            if own or everywhere:
                yield node.name, own + everywhere


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _marked(node: ast.AST) -> Iterator[str]:
    """Yield the rows of every ``pytest.mark.fault(...)`` in an expression, parameters included."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.fault":
            yield from (str(ast.literal_eval(row)) for row in call.args)
