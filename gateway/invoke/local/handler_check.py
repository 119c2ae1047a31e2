"""Find out, before anything serves, whether a handler can be called; one line for the operator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.invoke.local.environment import function_environment

if TYPE_CHECKING:
    from gateway.invoke.local.spec import FunctionSpec

_PROBE = str(Path(__file__).with_name("probe.py"))


def check_handler(spec: FunctionSpec, *, timeout: float = 30.0) -> str | None:
    """Import the handler as a worker would, in a process of its own.

    Blocks while that runs: meant for the start of a command, before there is an event loop.

    Args:
        spec: the function.
        timeout: seconds the import may take.

    Returns:
        None when the handler is there and callable; else one line saying what is wrong and what to
        do.
    """
    problem = _file_problem(spec)
    if problem is not None:
        return problem
    arguments = [str(spec.directory), spec.file.stem, spec.handler]
    try:
        run = subprocess.run(  # noqa: S603 - our own interpreter, our own script
            [sys.executable, "-P", _PROBE, *arguments],
            env=function_environment(spec),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{spec.file}: importing it took longer than {timeout:g} s"
    except OSError as error:
        return f"{spec.file}: the check could not run {sys.executable}: {error}"
    return _verdict(spec, run.stdout, run.returncode)


def _file_problem(spec: FunctionSpec) -> str | None:
    if not spec.file.exists():
        return f"{spec.file}: no such file"
    if not spec.file.is_file():
        return f"{spec.file}: not a file; name the Python file that holds the handler"
    if spec.file.suffix != ".py":
        return f"{spec.file}: not a Python file (its name must end in .py)"
    if "." in spec.file.stem:
        return f"{spec.file}: a module's file name may have no dot before .py; rename it"
    return None


def _verdict(spec: FunctionSpec, output: bytes, exit_code: int) -> str | None:
    try:
        problem = json.loads(output)["problem"]
    except (ValueError, KeyError, TypeError):
        return f"{spec.file}: importing it ended the process (exit status {exit_code})"
    return None if problem is None else f"{spec.file}: {problem}"
