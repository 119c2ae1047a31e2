"""A gateway of its own process, its functions, and the proxy between them that breaks."""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.faults.proxy import Proxy, serving_proxy
from tests.system.running import REPOSITORY, Dialback, running_dialback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractContextManager

T = TypeVar("T")

FUNCTION_SECONDS = 300.0
"""A stream under many faults may take long; its deadline is no fault of these."""

CONFIG = """\
[gateway]
callback_url = "{callback}"
log_level = "error"
timing = {{ {timing} }}

[[routes]]
path = "/"
target = "local:{file}:{handler}"
function_timeout = {seconds}
request_body = "spill"
concurrency = {concurrency}
env = {{ {env} }}
"""


@dataclass(frozen=True)
class World:
    """What runs.

    Attributes:
        dialback: the gateway.
        proxy: between it and its functions.
    """

    dialback: Dialback
    proxy: Proxy


@asynccontextmanager
async def running_world(
    target: str,
    *,
    concurrency: int,
    function_seconds: float = FUNCTION_SECONDS,
    env: Mapping[str, str] | None = None,
    timing: Mapping[str, float] | None = None,
) -> AsyncIterator[World]:
    """Run a gateway whose one function dials through the proxy.

    Args:
        target: ``tests/soak/functions.py:handler``.
        concurrency: functions at once.
        function_seconds: the function's timeout.
        env: variables for the function.
        timing: timers of the gateway that differ from its own.
    """
    file, _, handler = target.partition(":")
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(serving_proxy(("127.0.0.1", 0)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = folder / "dialback.toml"
        config.write_text(
            CONFIG.format(
                callback=proxy.url,
                file=REPOSITORY / file,
                handler=handler,
                seconds=function_seconds,
                concurrency=concurrency,
                env=_table(env),
                timing=_table(timing),
            )
        )
        process = running_dialback("--config", config, command="serve")
        dialback = await stack.enter_async_context(in_a_thread(process))
        proxy.target = ("127.0.0.1", dialback.callback_port)
        yield World(dialback, proxy)


def _table(values: Mapping[str, object] | None) -> str:
    """What stands between the braces of an inline table."""
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in (values or {}).items())


@asynccontextmanager
async def in_a_thread(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a context manager that blocks, while the loop goes on."""
    value = await asyncio.to_thread(manager.__enter__)
    try:
        yield value
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)
