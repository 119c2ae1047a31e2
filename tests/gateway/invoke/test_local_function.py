"""The emulated Lambda at work: states, environment, concurrency, limits. Real worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from gateway.errors import (
    FunctionTimedOut,
    FunctionUnreachable,
    RequestBodyTooLarge,
    Throttled,
)
from gateway.invoke.base import Invocation, InvokeOutcomeUnknown
from gateway.invoke.local.function import LocalFunction
from gateway.invoke.local.limits import REQUEST_MAX
from gateway.invoke.local.process import WorkerProcess
from tests.gateway.invoke.emulated import (
    HOLD,
    begun,
    call,
    failure,
    invocation,
    let_go,
    state_of,
    until,
    value,
)

if TYPE_CHECKING:
    from gateway.invoke.base import InvokeResult
    from gateway.invoke.local.worker import Worker
    from tests.gateway.invoke.emulated import Emulator

PID = """
import os

def handler(event, context):
    return os.getpid()
"""


async def test_the_event_goes_in_and_the_result_comes_out(emulator: Emulator) -> None:
    function = emulator.function("def handler(event, context): return {'got': event}")
    assert await function.start() is None
    result = await call(function, {"text": "snow \u2603"})
    assert json.loads(result.payload) == {"got": {"text": "snow \u2603"}}
    assert result.function_error is None
    assert len(result.request_id) == 36


async def test_a_worker_is_stopped_between_invocations_and_runs_during_one(
    emulator: Emulator,
) -> None:
    function = emulator.function(HOLD)
    assert await function.start() is None
    [pid] = function.workers
    await until(lambda: state_of(pid) == "T")

    for name in ("first", "second"):
        event = emulator.held(name)
        running = asyncio.create_task(value(function, event))
        await begun(event)
        assert state_of(pid) != "T"
        let_go(event)
        assert await running == pid
        await until(lambda: state_of(pid) == "T")


async def test_a_worker_that_is_wanted_again_in_the_same_turn_of_the_loop_is_not_stopped(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = emulator.function(PID)
    stopped: list[int] = []
    again: list[asyncio.Future[InvokeResult]] = []
    freeze = WorkerProcess.freeze

    def noted(process: WorkerProcess) -> None:
        stopped.append(process.pid)
        freeze(process)

    def asked_again(worker: Worker, *, fresh: bool) -> None:
        LocalFunction.worker_idle(function, worker, fresh=fresh)
        if len(again) < 3:
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: again.append(function.invoke(invocation(None))))

    monkeypatch.setattr(WorkerProcess, "freeze", noted)
    assert await function.start() is None
    await until(lambda: stopped == function.workers)
    monkeypatch.setattr(function, "worker_idle", asked_again)
    pid = await value(function)
    await until(lambda: len(again) == 3 and again[-1].done())
    await until(lambda: state_of(pid) == "T")
    assert stopped == [pid, pid]


async def test_everything_in_the_environment_is_frozen_with_it(emulator: Emulator) -> None:
    function = emulator.function(
        """
        import subprocess
        child = subprocess.Popen(["sleep", "60"])
        def handler(event, context): return child.pid
        """
    )
    child = await value(function)
    await until(lambda: state_of(child) == "T")
    await function.aclose()
    await until(lambda: state_of(child) in (None, "Z"))


async def test_two_at_once_run_in_two_workers_and_a_third_is_throttled(emulator: Emulator) -> None:
    function = emulator.function(HOLD, concurrency=2)
    events = [emulator.held("a"), emulator.held("b")]
    running = [asyncio.create_task(value(function, event)) for event in events]
    for event in events:
        await begun(event)
    with pytest.raises(Throttled):
        await call(function, events[0])
    for event in events:
        let_go(event)
    assert set(await asyncio.gather(*running)) == set(function.workers)


async def test_the_warm_worker_used_last_is_used_again(emulator: Emulator) -> None:
    function = emulator.function(HOLD, concurrency=4)
    events = [emulator.held("a"), emulator.held("b")]
    running = [asyncio.create_task(value(function, event)) for event in events]
    for event in events:
        await begun(event)
    let_go(events[0])
    first = await running[0]
    await until(lambda: state_of(first) == "T")
    let_go(events[1])
    last = await running[1]
    for _ in range(5):
        await until(lambda: state_of(last) == "T")
        assert await value(function, events[0]) == last
    assert len(function.workers) == 2


async def test_a_worker_whose_call_another_took_is_used_after_the_warm_ones(
    emulator: Emulator,
) -> None:
    gate = emulator.directory / "may-start"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.002)\n"
    function = emulator.function(wait + HOLD, concurrency=2)
    gate.touch()
    held, next_one = emulator.held("a"), emulator.held("b")
    running = asyncio.create_task(value(function, held))
    await begun(held)
    gate.unlink()
    let_go(next_one)
    waiting = asyncio.create_task(value(function, next_one))
    await until(lambda: len(function.workers) == 2)
    let_go(held)
    warm = await running
    assert await waiting == warm
    gate.touch()
    await until(lambda: {state_of(pid) for pid in function.workers} == {"T"})
    assert await value(function, next_one) == warm


@pytest.mark.usefixtures("slow_machine")
async def test_the_next_request_waits_for_a_worker_that_is_on_its_way_back(
    emulator: Emulator,
) -> None:
    function = emulator.function(PID, concurrency=1)
    pids = {await value(function) for _ in range(100)}
    assert len(pids) == 1


@pytest.mark.usefixtures("slow_machine")
async def test_a_call_at_the_limit_waits_for_a_worker_that_is_just_ending(
    emulator: Emulator,
) -> None:
    function = emulator.function(HOLD, concurrency=1)
    event = emulator.held("a")
    running = asyncio.create_task(value(function, event))
    await begun(event)
    following = asyncio.create_task(value(function, event))
    await asyncio.sleep(0)
    let_go(event)
    assert await running == await following


async def test_a_waiting_call_is_served_although_its_predecessor_was_abandoned(
    emulator: Emulator,
) -> None:
    function = emulator.function(PID, concurrency=1)
    cold = asyncio.create_task(call(function))
    await asyncio.sleep(0)
    cold.cancel()
    assert await value(function) in function.workers


async def test_cancelling_the_wait_does_not_stop_the_function(emulator: Emulator) -> None:
    function = emulator.function(HOLD, concurrency=1)
    event = emulator.held("a")
    running = asyncio.create_task(call(function, event))
    await begun(event)
    [pid] = function.workers
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert state_of(pid) != "T"
    let_go(event)
    await until(lambda: state_of(pid) == "T")
    assert await value(function, event) == pid


async def test_impatience_is_told_apart_before_and_after_the_start(emulator: Emulator) -> None:
    slow_start = emulator.function("import time; time.sleep(60)\ndef handler(e, c): pass")
    with pytest.raises(FunctionTimedOut):
        await call(slow_start, timeout=0.1)
    function = emulator.function(HOLD)
    assert await function.start() is None
    event = emulator.held("a")
    with pytest.raises(InvokeOutcomeUnknown):
        await call(function, event, timeout=0.2)
    let_go(event)


async def test_six_megabytes_pass_and_one_byte_more_is_refused(emulator: Emulator) -> None:
    function = emulator.function("def handler(event, context): return len(event)")
    largest = b'"' + b"x" * (REQUEST_MAX - 2) + b'"'
    with pytest.raises(RequestBodyTooLarge):
        await function.invoke(Invocation(largest + b" ", None, 10.0))
    assert function.workers == []  # nothing was even started
    result = await function.invoke(Invocation(largest, None, 10.0))
    assert json.loads(result.payload) == REQUEST_MAX - 2


async def test_the_largest_response_passes_and_one_byte_more_is_an_error(
    emulator: Emulator,
) -> None:
    function = emulator.function("def handler(event, context): return 'x' * event")
    most = REQUEST_MAX + 100 - 2
    assert len(await value(function, most)) == most
    assert await failure(function, most + 1) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        "(6291556 bytes).",
    }
    assert len(await value(function, 5)) == 5


async def test_the_environment_is_lambdas_and_none_of_the_gateways(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIALBACK_TOKEN_KEYS", "secret")
    monkeypatch.setenv("AWS_LAMBDA_MAX_CONCURRENCY", "4")
    monkeypatch.setenv("INHERITED", "yes")
    function = emulator.function(
        """
        import os, sys
        def handler(event, context):
            return [dict(os.environ), sys.path, os.getcwd(), context.invoked_function_arn]
        """,
        env={"MINE": "1", "TZ": "Europe/Madrid", "_HANDLER": "not.this"},
        memory=256,
    )
    environment, path, directory, arn = await value(function)
    assert not [name for name in environment if name.startswith("DIALBACK_")]
    expected = {
        "AWS_LAMBDA_FUNCTION_NAME": "fn",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fn",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": environment["AWS_DEFAULT_REGION"],
        "LAMBDA_TASK_ROOT": str(emulator.directory),
        "_HANDLER": "app.handler",
        "INHERITED": "yes",
        "MINE": "1",
        "TZ": "Europe/Madrid",
    }
    assert {name: environment[name] for name in expected} == expected
    assert "[$LATEST]" in environment["AWS_LAMBDA_LOG_STREAM_NAME"]
    assert "AWS_LAMBDA_MAX_CONCURRENCY" not in environment
    assert directory == path[0] == str(emulator.directory)
    assert not [entry for entry in path if entry.endswith("local")]
    assert arn.endswith(":function:fn")


async def test_context_carries_client_context_deadline_and_trace(emulator: Emulator) -> None:
    function = emulator.function(
        """
        import os
        def handler(event, context):
            return {
                "custom": context.client_context.custom,
                "left": context.get_remaining_time_in_millis(),
                "trace": os.environ["_X_AMZN_TRACE_ID"],
                "id": context.aws_request_id,
            }
        """,
        timeout=20.0,
    )
    result = await function.invoke(
        Invocation(
            b"{}",
            '{"custom": {"dialback": {"text": "é\\n"}}}'.encode(),
            30.0,
            trace_id="Root=1-0-1",
        )
    )
    seen = json.loads(result.payload)
    assert seen["custom"] == {"dialback": {"text": "é\n"}}
    assert 15_000 < seen["left"] <= 20_000
    assert re.fullmatch("Root=1-0-1;Parent=[0-9a-f]{16};Sampled=0", seen["trace"])
    assert seen["id"] == result.request_id


async def test_a_closed_function_refuses(emulator: Emulator) -> None:
    function = emulator.function(PID)
    await function.aclose()
    with pytest.raises(FunctionUnreachable):
        await call(function)


async def test_nothing_is_left_after_closing(emulator: Emulator) -> None:
    before = set(os.listdir("/proc/self/fd"))
    function = emulator.function(HOLD, concurrency=3)
    assert await function.start() is None
    event = emulator.held("a")
    running = asyncio.create_task(failure(function, event))
    await begun(event)
    starting = asyncio.create_task(call(function, event))
    await until(lambda: len(function.workers) == 2)
    pids = function.workers
    await function.aclose()
    assert (await running)["errorType"] == "Runtime.ExitError"
    with pytest.raises(FunctionUnreachable):
        await starting
    assert [state_of(pid) for pid in pids if pid] == [None] * len([pid for pid in pids if pid])
    await until(lambda: set(os.listdir("/proc/self/fd")) <= before)
