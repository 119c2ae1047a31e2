"""The emulated Lambda on the event loop that the `speedups` extra brings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.gateway.invoke.emulated import Emulator, call, failure, state_of, until, value

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import os, time

def handler(event, context):
    print("seen", event)
    if event == "exit":
        os._exit(3)
    if event == "sleep":
        time.sleep(60)
    return os.getpid()
"""


@pytest.mark.usefixtures("slow_machine")
def test_a_life_on_uvloop(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop", reason="the speedups extra is not installed")

    async def life() -> None:
        emulator = Emulator(tmp_path)
        impatient = emulator.function(CODE, timeout=0.5)
        function = emulator.function(CODE, reload=True)
        assert await function.start() is None
        [pid] = function.workers
        assert {await value(function) for _ in range(20)} == {pid}
        await until(lambda: state_of(pid) == "T")
        assert (await failure(function, "exit"))["errorType"] == "Runtime.ExitError"
        assert (await failure(impatient, "sleep"))["errorType"] == "Sandbox.Timedout"
        results = await asyncio.gather(*(call(function, n) for n in range(5)))
        pids = function.workers
        assert len(pids) == 5
        await emulator.aclose()
        assert [state_of(pid) for pid in pids] == [None] * 5
        for number, result in enumerate(results):
            assert (result.request_id, f"seen {number}") in emulator.lines

    uvloop.run(life())
