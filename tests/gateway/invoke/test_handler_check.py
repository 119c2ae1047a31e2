"""What the operator is told about a handler that cannot be served."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.invoke.local.handler_check import check_handler

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.invoke.emulated import Emulator


@pytest.mark.parametrize(
    "code",
    [
        "def handler(event, context): pass",
        "class App:\n    def __call__(self, event, context): pass\nhandler = App()",
        "print('x' * 100_000)\nhandler = lambda event, context: 1",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
        "def handler(event, context): pass",
        "import os\nassert os.environ['K'] == 'V' and 'DIALBACK_X' not in os.environ\n"
        "def handler(event, context): pass",
    ],
)
def test_a_good_handler(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setenv("DIALBACK_X", "1")
    spec = replace(emulator.spec("", env={"K": "V"}))
    spec.file.write_text(code)
    assert check_handler(spec) is None


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("def handler(:\n  pass", "syntax error in app.py, line 1: invalid syntax"),
        ("import nothing_like_it", "importing it raises ModuleNotFoundError: No module named"),
        (
            "x = 1\ny = x / 0",
            "importing it raises ZeroDivisionError: division by zero (app.py, line 2)",
        ),
        ("def handle(e, c): pass", "no 'handler' in it; did you mean 'handle'?"),
        ("def other(e, c): pass\nTEXT = 1", "no 'handler' in it; it has 'other'"),
        ("TEXT = 1", "no 'handler' in it"),
        (
            "from lambda_client import request_body, streaming\n@streaming\ndef chat(e, c): pass",
            "no 'handler' in it; it has 'chat'",
        ),
        ("handler = 'text'", "'handler' is not callable (it is of type str)"),
        ("import sys; sys.exit(3)", "importing it calls sys.exit(3)"),
        ("import os; os._exit(3)", "importing it ended the process (exit status 3)"),
    ],
)
def test_one_line_names_the_problem(emulator: Emulator, code: str, problem: str) -> None:
    spec = emulator.spec("")
    spec.file.write_text(code)
    said = check_handler(spec)
    assert said is not None
    assert said.startswith(f"{spec.file}: {problem}")
    assert "\n" not in said


def test_a_neighbours_syntax_error_names_the_neighbour(emulator: Emulator) -> None:
    spec = emulator.spec("import part")
    (emulator.directory / "part.py").write_text("a b")
    assert check_handler(spec) == (f"{spec.file}: syntax error in part.py, line 1: invalid syntax")


def test_an_import_that_never_ends(emulator: Emulator) -> None:
    spec = emulator.spec("import time; time.sleep(60)")
    assert check_handler(spec, timeout=0.3) == (f"{spec.file}: importing it took longer than 0.3 s")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.py", "no such file"),
        ("folder.py", "not a file"),
        ("text.txt", "not a Python file"),
        ("two.dots.py", "a module's file name may have no dot"),
        ("sys.py", "the module name 'sys' is taken by Python itself"),
    ],
)
def test_a_wrong_file(emulator: Emulator, name: str, problem: str) -> None:
    (emulator.directory / "folder.py").mkdir()
    for present in ("text.txt", "two.dots.py", "sys.py"):
        (emulator.directory / present).write_text("def handler(e, c): pass")
    file: Path = emulator.directory / name
    said = check_handler(replace(emulator.spec(""), file=file))
    assert said is not None
    assert said.startswith(f"{file}: {problem}")
