"""What the tests of the emulated Lambda share."""

from __future__ import annotations

import asyncio
import json
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.invoke.base import Invocation
from gateway.invoke.local.function import LocalFunction
from gateway.invoke.local.spec import FunctionSpec
from tests.gateway.steering import SteeredLoop
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.invoke.base import InvokeResult

HOLD = """
import os, time

def handler(event, context):
    open(event["started"], "w").close()
    while not os.path.exists(event["go"]):
        time.sleep(0.002)
    return os.getpid()
"""
"""A function that says that it has begun, and ends when it is told to."""


class Emulator:
    """Makes emulated functions out of source text, and closes them all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lines: list[tuple[str, str]] = []
        self._functions: list[LocalFunction] = []

    def spec(self, code: str, **settings: Any) -> FunctionSpec:
        file = self.directory / "app.py"
        file.write_text(textwrap.dedent(code))
        values: dict[str, Any] = {"handler": "handler", "timeout": 10.0, **settings}
        return FunctionSpec("fn", file, **values)

    def function(self, code: str, *, reload: bool = False, **settings: Any) -> LocalFunction:
        spec = self.spec(code, **settings)
        function = LocalFunction(spec, log=self._log, reload=reload)
        self._functions.append(function)
        return function

    def _log(self, name: str, request_id: str, *lines: str) -> None:
        assert name == "fn"
        self.lines += [(request_id, line) for line in lines]

    def printed(self, text: str) -> bool:
        return any(text in line for _, line in self.lines)

    def held(self, name: str) -> dict[str, str]:
        """Return the event for one invocation of `HOLD`."""
        return {
            "started": str(self.directory / f"{name}.started"),
            "go": str(self.directory / f"{name}.go"),
        }

    async def aclose(self) -> None:
        for function in self._functions:
            await function.aclose()


def on_a_steered_loop(directory: Path, life: Callable[[Emulator], Awaitable[None]]) -> None:
    """Let a test move the clock on that limits how long functions run; they themselves do not notice."""

    async def live() -> None:
        emulator = Emulator(directory)
        try:
            await life(emulator)
        finally:
            await emulator.aclose()

    with asyncio.Runner(loop_factory=SteeredLoop) as runner:
        runner.run(live())


async def call(function: LocalFunction, event: object = None, **more: Any) -> InvokeResult:
    return await function.invoke(invocation(event, **more))


def invocation(event: object = None, **more: Any) -> Invocation:
    values: dict[str, Any] = {"client_context": None, "timeout": 30.0, **more}
    return Invocation(json.dumps(event).encode(), **values)


async def value(function: LocalFunction, event: object = None) -> Any:
    result = await call(function, event)
    assert result.function_error is None, result
    return json.loads(result.payload)


async def failure(function: LocalFunction, event: object = None) -> dict[str, Any]:
    result = await call(function, event)
    assert result.function_error == "Unhandled", result
    error: dict[str, Any] = json.loads(result.payload)
    return error


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for something that no event announces."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.002)


async def begun(event: dict[str, str]) -> None:
    await until(Path(event["started"]).exists)


def let_go(event: dict[str, str]) -> None:
    Path(event["go"]).touch()


def state_of(pid: int) -> str | None:
    """Return the kernel's letter for a process's state; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()[0]


def is_gone(pid: int) -> bool:
    """Whether nothing of it runs; an orphan may stay a zombie until init looks after it."""
    return state_of(pid) in (None, "Z", "X")
