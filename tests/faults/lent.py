"""A function that is not a child of its gateway, as in AWS: it answers in the name of one that is."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from gateway.invoke.base import Invocation
from gateway.invoke.local.function import LocalFunction
from gateway.invoke.local.spec import FunctionSpec
from tests.faults.stage import FUNCTIONS
from tests.system.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.stage import Stage

LEND = "tests/faults/odd_functions.py:lend"
"""What the gateway calls: it hands its envelope out, and waits."""

FUNCTION_SECONDS = 40
"""For the borrower too: so much that no test runs into it on the busiest machine."""


@asynccontextmanager
async def real_function() -> AsyncIterator[LocalFunction]:
    """The functions of this suite, run by this process."""
    spec = FunctionSpec("fn", REPOSITORY / FUNCTIONS, "handler", timeout=FUNCTION_SECONDS)
    function = LocalFunction(spec, reload=False)
    try:
        yield function
    finally:
        await function.aclose()


async def answer_for(function: LocalFunction, stage: Stage, **query: Any) -> dict[str, Any]:
    """Let `function` answer for the one that lent its envelope; return its receipt.

    Args:
        function: a real one.
        stage: of the gateway that called `LEND`.
        query: what it is asked for, as in `Stage.browse`.
    """
    envelope = json.loads(await asyncio.to_thread(stage.said, "envelope"))
    asked = {name: str(value) for name, value in {"room": stage.room.path, **query}.items()}
    event = {"rawPath": "/stream", "queryStringParameters": asked}
    context = {"custom": {"dialback": envelope}}
    result = await function.invoke(
        Invocation(
            json.dumps(event).encode(), json.dumps(context).encode(), timeout=FUNCTION_SECONDS
        )
    )
    assert result.function_error is None, result
    receipt: dict[str, Any] = json.loads(result.payload)["dialback"]
    return receipt
