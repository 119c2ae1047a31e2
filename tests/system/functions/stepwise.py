"""Any of the examples, with pauses that last until the test ends them.

``EXAMPLE`` is its file. Its n-th pause is over when the file ``n`` is in ``STEPS``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

LOOK_SECONDS = 0.002

_ends = (Path(os.environ["STEPS"], str(number)) for number in itertools.count(1))


def pause(seconds: float) -> None:
    end = next(_ends)
    while not end.exists():
        time.sleep(LOOK_SECONDS)


async def pause_of_a_coroutine(seconds: float) -> None:
    end = next(_ends)
    while not end.exists():
        await asyncio.sleep(LOOK_SECONDS)


def load(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("example", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load(os.environ["EXAMPLE"])
vars(example).update(
    time=SimpleNamespace(sleep=pause), asyncio=SimpleNamespace(sleep=pause_of_a_coroutine)
)
handler = example.handler
