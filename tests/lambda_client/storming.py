"""A function in a process of its own whose main thread is interrupted all the time.

Reads one line of JSON for each invocation: the envelope, the chunks and their size, the seed. Writes one line:
what user code knows of its response, and what the invocation returned.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from types import SimpleNamespace
from typing import Any

from lambda_client import streamify_response

LONGEST = 0.001
"""Seconds to the next signal at most. A chunk takes some tenths of a millisecond."""


class TimeIsUpError(Exception):
    """What the signal's handler raises."""


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(invoke(json.loads(line))), flush=True)


def invoke(asked: dict[str, Any]) -> dict[str, Any]:
    """Stream once; return what became of it."""
    written: list[bool] = []
    chance = random.Random(asked["seed"])
    storm = _Storm(chance)

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        storm.begin()
        for number in range(asked["chunks"]):
            written.append(False)
            chunk = bytes((number,)) * asked["size"]
            try:
                storm.raises = True
                stream.write(chunk)
                storm.raises = False
                written[number] = True
            except TimeIsUpError:
                pass
            time.sleep(chance.choice((0, 0, 0.0001, 0.0006)))
        storm.end()

    ends = time.monotonic() + 30
    context = SimpleNamespace(
        client_context=SimpleNamespace(custom={"dialback": asked["envelope"]}, env=None),
        get_remaining_time_in_millis=lambda: int((ends - time.monotonic()) * 1000),
    )
    told: dict[str, Any] = {}
    try:
        told["receipt"] = handler({"version": "2.0", "requestContext": {"http": {}}}, context)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        told["raised"] = repr(error)
    descriptors = len(os.listdir("/proc/self/fd"))
    return {**told, "written": written, "signals": storm.count, "descriptors": descriptors}


class _Storm:
    """Strikes at random moments between `begin` and `end`.

    Attributes:
        raises: whether somebody is there to catch what is raised, once.
        count: how often it was.
    """

    def __init__(self, chance: random.Random) -> None:
        self.count = 0
        self._chance = chance
        self.raises = False
        signal.signal(signal.SIGALRM, self._strike)

    def begin(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self._chance.random() * LONGEST + 1e-5)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _strike(self, *_: object) -> None:
        self.begin()
        if self.raises:
            self.raises = False
            self.count += 1
            raise TimeIsUpError


if __name__ == "__main__":
    main()
