"""How the emulated Lambda reports what goes wrong: in AWS's words. Real worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.errors import FunctionUnreachable
from gateway.invoke.local import function as function_module
from tests.gateway.invoke.emulated import (
    HOLD,
    begun,
    call,
    failure,
    let_go,
    on_a_steered_loop,
    state_of,
    until,
    value,
)
from tests.gateway.steering import pass_time

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.invoke.emulated import Emulator

REQUEST_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


async def test_a_raised_exception(emulator: Emulator) -> None:
    function = emulator.function("def handler(event, context):\n    raise ValueError('no luck')")
    result = await call(function)
    error = json.loads(result.payload)
    assert result.function_error == "Unhandled"
    assert error["errorType"] == "ValueError"
    assert error["errorMessage"] == "no luck"
    assert error["requestId"] == result.request_id
    assert "line 2, in handler" in error["stackTrace"][-1]
    await until(lambda: emulator.printed("REPORT"))
    assert (result.request_id, "[ERROR] ValueError: no luck") in emulator.lines
    assert any(line.startswith('  File "') for _, line in emulator.lines)
    assert len(function.workers) == 1  # an exception does not end the environment


def test_a_timeout_kills_the_worker(tmp_path: Path) -> None:
    async def life(emulator: Emulator) -> None:
        function = emulator.function(
            """
            import subprocess, time
            def handler(event, context):
                child = subprocess.Popen(["sleep", "60"])
                print("child", child.pid)
                time.sleep(60)
            """,
            timeout=20.5,
        )
        assert await function.start() is None
        [pid] = function.workers
        running = asyncio.create_task(call(function))
        await until(lambda: emulator.printed("child"))
        await pass_time(20.5)
        result = await running
        assert state_of(pid) is None
        assert function.workers == []
        phrase = "Task timed out after 20.50 seconds"
        assert json.loads(result.payload) == {
            "errorType": "Sandbox.Timedout",
            "errorMessage": f"RequestId: {result.request_id} Error: {phrase}",
        }
        lines = [line for owner, line in emulator.lines if owner == result.request_id]
        stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        assert re.fullmatch(
            f"{stamp} {result.request_id} {re.escape(phrase)}",
            next(line for line in lines if "timed out" in line),
        )
        assert lines[-1].endswith("\tStatus: timeout")
        child = int(next(line for line in lines if line.startswith("child")).split()[1])
        await until(lambda: state_of(child) in (None, "Z"))

    on_a_steered_loop(tmp_path, life)


def test_no_concurrency_is_lost_by_timeouts(tmp_path: Path) -> None:
    async def life(emulator: Emulator) -> None:
        function = emulator.function(HOLD, timeout=20.0, concurrency=1)
        for name in ("first", "second"):
            event = emulator.held(name)
            running = asyncio.create_task(failure(function, event))
            await begun(event)
            await pass_time(20.0)
            assert (await running)["errorType"] == "Sandbox.Timedout"
            let_go(event)
            assert await value(function, event) in function.workers

    on_a_steered_loop(tmp_path, life)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("sys.exit(7)", "Runtime exited with error: exit status 7"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
    ],
)
async def test_a_process_that_ends_itself(emulator: Emulator, statement: str, reason: str) -> None:
    function = emulator.function(
        f"import os, sys\ndef handler(event, context):\n    print('last words')\n    {statement}"
    )
    result = await call(function)
    assert result.function_error == "Unhandled"
    assert json.loads(result.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {result.request_id} Error: {reason}",
    }
    assert (result.request_id, "last words") in emulator.lines
    assert function.workers == []


async def test_a_worker_killed_from_outside_while_it_runs(emulator: Emulator) -> None:
    function = emulator.function(HOLD)
    event = emulator.held("a")
    running = asyncio.create_task(failure(function, event))
    await begun(event)
    os.kill(function.workers[0], signal.SIGKILL)
    error = await running
    assert error["errorType"] == "Runtime.ExitError"
    assert re.fullmatch(
        rf"RequestId: {REQUEST_ID} Error: Runtime exited with error: signal: killed",
        error["errorMessage"],
    )


async def test_a_worker_killed_while_frozen_is_replaced(emulator: Emulator) -> None:
    function = emulator.function(HOLD, concurrency=1)
    assert await function.start() is None
    [pid] = function.workers
    os.kill(pid, signal.SIGKILL)
    await until(lambda: function.workers == [])
    event = emulator.held("a")
    let_go(event)
    assert await value(function, event) != pid


@pytest.mark.parametrize(
    ("code", "error_type", "message"),
    [
        ("import nothing_like_it", "Runtime.ImportModuleError", "Unable to import module 'app'"),
        ("def handler(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("other = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("raise KeyError('x')", "KeyError", "'x'"),
    ],
)
async def test_a_module_that_cannot_be_loaded(
    emulator: Emulator, code: str, error_type: str, message: str
) -> None:
    function = emulator.function(code)
    said = await function.start()
    assert said is not None
    assert said.startswith(f"{error_type}: {message}")
    for _ in range(2):
        error = await failure(function)
        assert error["errorType"] == error_type
        assert error["errorMessage"].startswith(message)
    await until(lambda: function.workers == [])  # one more may have been started, and fail as well


async def test_a_module_that_exits(emulator: Emulator) -> None:
    function = emulator.function("import sys; sys.exit(4)")
    assert await function.start() == "Error: Runtime exited with error: exit status 4"
    error = await failure(function)
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Runtime exited with error: exit status 4")


async def test_a_slow_module_gets_a_second_try_within_the_functions_timeout(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_module, "INIT_TIMEOUT", 0.2)
    slow = "import time; time.sleep(0.5)\ndef handler(event, context): return 'at last'"
    assert await value(emulator.function(slow, timeout=10.0)) == "at last"
    assert emulator.printed("Phase: init\tStatus: timeout")
    error = await failure(emulator.function(slow, timeout=0.2))
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 0.20 seconds")


async def test_a_process_that_cannot_be_started(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    function = emulator.function("def handler(event, context): pass")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    said = await function.start()
    assert said is not None
    assert said.startswith("no process could be started")
    with pytest.raises(FunctionUnreachable):
        await call(function)


async def test_an_environment_that_no_process_can_have(emulator: Emulator) -> None:
    function = emulator.function("def handler(event, context): pass", env={"A": "b\0c"})
    with pytest.raises(FunctionUnreachable, match="null byte"):
        await call(function)


async def test_a_result_that_is_no_json(emulator: Emulator) -> None:
    function = emulator.function("def handler(event, context): return {1, 2}")
    assert (await failure(function))["errorType"] == "Runtime.MarshalError"
