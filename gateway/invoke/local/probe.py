"""Run by path in a process of its own: can this handler be imported and called?

Arguments: the handler's directory, module and name. Writes ``{"problem": text or null}`` to the
stdout it was given; whatever the module prints goes nowhere.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
import sys
import traceback


def problem_with(directory: str, module_name: str, handler: str) -> str | None:
    """Return what keeps `handler` from being called, or None."""
    os.chdir(directory)
    sys.path.insert(0, directory)
    if module_name in sys.builtin_module_names:
        return f"the module name {module_name!r} is taken by Python itself; rename the file"
    try:
        names = vars(importlib.import_module(module_name))
    except SyntaxError as error:
        return _syntax_problem(error)
    except SystemExit as error:
        return f"importing it calls sys.exit({error.code!r})"
    except Exception as error:  # noqa: BLE001 - anything can happen in a user's module
        return f"importing it raises {type(error).__name__}: {_first_line(error)}{_place(error)}"
    return _lookup_problem(names, handler)


def _lookup_problem(names: dict[str, object], handler: str) -> str | None:
    if handler not in names:
        return f"no {handler!r} in it{_suggestion(handler, names)}"
    if not callable(names[handler]):
        return f"{handler!r} is not callable (it is of type {type(names[handler]).__name__})"
    return None


def _syntax_problem(error: SyntaxError) -> str:
    where = f"line {error.lineno}"
    if error.filename and os.path.dirname(error.filename) != os.getcwd():
        where = f"{error.filename}, {where}"
    elif error.filename:
        where = f"{os.path.basename(error.filename)}, {where}"
    return f"syntax error in {where}: {error.msg}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    here = [frame for frame in frames if frame.filename.startswith(os.getcwd() + os.sep)]
    if not here:
        return ""
    return f" ({os.path.relpath(here[-1].filename)}, line {here[-1].lineno})"


def _suggestion(handler: str, names: dict[str, object]) -> str:
    usable = [
        name
        for name, value in names.items()
        if callable(value)
        and not isinstance(value, type)
        and not name.startswith("_")
        # What every aware function imports is no handler.
        and not str(getattr(value, "__module__", "")).startswith("lambda_client")
    ]
    near = difflib.get_close_matches(handler, usable, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; it has {', '.join(map(repr, sorted(usable)[:5]))}" if usable else ""


def main() -> None:
    """Check what the arguments name and say so on stdout."""
    verdict = os.dup(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    problem = problem_with(*sys.argv[1:4])
    os.write(verdict, json.dumps({"problem": problem}).encode())
    # A module may have started threads that never end.
    os._exit(0)


if __name__ == "__main__":
    main()
