"""Workers and the code they run: replaced when it changes, gone when the gateway is."""

from __future__ import annotations

import asyncio
import signal
import sys
import textwrap
from typing import TYPE_CHECKING

from tests.gateway.invoke.emulated import (
    HOLD,
    begun,
    call,
    is_gone,
    let_go,
    state_of,
    until,
    value,
)
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.gateway.invoke.emulated import Emulator

PARENT = """
    import asyncio, sys
    from pathlib import Path
    from gateway.invoke.base import Invocation
    from gateway.invoke.local.function import LocalFunction
    from gateway.invoke.local.spec import FunctionSpec

    async def main():
        file = Path(sys.argv[1])
        frozen = LocalFunction(FunctionSpec("frozen", file, "frozen"))
        busy = LocalFunction(FunctionSpec("busy", file, "busy"))
        await frozen.start()
        await busy.start()
        asyncio.get_running_loop().call_later(0.2, print, *frozen.workers, *busy.workers)
        await busy.invoke(Invocation(b"{}", None, 60.0))

    sys.stdout.reconfigure(line_buffering=True)
    asyncio.run(main())
"""


async def test_workers_die_with_a_gateway_that_is_killed(emulator: Emulator) -> None:
    handlers = emulator.directory / "app.py"
    handlers.write_text(
        "import time\ndef frozen(event, context): pass\ndef busy(event, context): time.sleep(60)\n"
    )
    script = emulator.directory / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), str(handlers)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    frozen, busy = map(int, (await asyncio.wait_for(parent.stdout.readline(), PATIENCE)).split())
    assert state_of(frozen) == "T"
    assert state_of(busy) != "T"
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await until(lambda: is_gone(frozen) and is_gone(busy))


async def test_a_change_replaces_idle_workers(emulator: Emulator) -> None:
    function = emulator.function("def handler(event, context): return 'old'", reload=True)
    assert await function.start() is None
    assert await value(function) == "old"
    [old] = function.workers
    await _edit(emulator, "def handler(event, context): return 'quite new'")
    await until(lambda: is_gone(old))
    assert await value(function) == "quite new"


async def test_a_change_of_a_neighbour_module_counts(emulator: Emulator) -> None:
    (emulator.directory / "part").mkdir()
    (emulator.directory / "part" / "text.py").write_text("TEXT = 'old'")
    function = emulator.function(
        "from part.text import TEXT\ndef handler(event, context): return TEXT", reload=True
    )
    assert await function.start() is None
    assert await value(function) == "old"
    await _edit(emulator, "TEXT = 'quite new'", "part/text.py")
    assert await value(function) == "quite new"


async def test_a_busy_worker_ends_its_invocation_first(emulator: Emulator) -> None:
    function = emulator.function(HOLD, reload=True, concurrency=1)
    assert await function.start() is None
    event = emulator.held("a")
    running = asyncio.create_task(value(function, event))
    await begun(event)
    [old] = function.workers
    await _edit(emulator, "def handler(event, context): return 'new'")
    let_go(event)
    assert await running == old
    assert await value(function) == "new"
    await until(lambda: is_gone(old))


async def test_a_broken_edit_is_reported_and_can_be_mended(emulator: Emulator) -> None:
    function = emulator.function("def handler(event, context): return 'old'", reload=True)
    assert await function.start() is None
    await _edit(emulator, "def handler(event, context) return 'broken'")
    await until(lambda: emulator.printed("Runtime.UserCodeSyntaxError"))
    emulator.lines.clear()
    await _edit(emulator, "def handler(event, context): return 'mended again'")
    async with asyncio.timeout(PATIENCE):  # what was seen may yet have been the first change
        while (await call(function)).function_error is not None:
            pass
    assert await value(function) == "mended again"


async def test_a_folder_that_cannot_be_watched_is_reported(emulator: Emulator) -> None:
    function = emulator.function("def handler(event, context): return 1", reload=True)
    (emulator.directory / "app.py").unlink()
    emulator.directory.rmdir()
    assert await function.start(prewarm=False) is None
    await until(lambda: emulator.printed("code changes will not be noticed"))


async def _edit(emulator: Emulator, code: str, name: str = "app.py") -> None:
    """Change a file until the watcher, which starts in its own time, has seen a change."""
    file = emulator.directory / name
    for attempt in range(20):
        file.write_text(f"{code}\n{'#' * attempt}\n")
        for _ in range(100):
            if emulator.printed("the code changed"):
                return
            await asyncio.sleep(0.01)
    raise AssertionError("the change was never noticed")
