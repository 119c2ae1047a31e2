"""A function in a process of its own whose main thread is interrupted all the time.

Reads one line of JSON for each invocation: the envelope, the kind of handler, the chunks and their size, the seed.
Writes one line: what user code knows of its response, and what the invocation returned.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lambda_client import asgi, streamify_response, wsgi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

LONGEST = 0.001
"""Seconds to the next signal at most. A chunk takes some tenths of a millisecond."""


class TimeIsUpError(Exception):
    """What the signal's handler raises."""


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(invoke(json.loads(line))), flush=True)


def invoke(asked: dict[str, Any]) -> dict[str, Any]:
    """Stream once; return what became of it."""
    work = _Work(asked)
    ends = time.monotonic() + 30
    context = SimpleNamespace(
        client_context=SimpleNamespace(custom={"dialback": asked["envelope"]}, env=None),
        get_remaining_time_in_millis=lambda: int((ends - time.monotonic()) * 1000),
    )
    told: dict[str, Any] = {}
    try:
        told["receipt"] = KINDS[asked["kind"]](work)(EVENT, context)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        told["raised"] = repr(error)
    descriptors = len(os.listdir("/proc/self/fd"))
    signals = work.storm.count
    return {**told, "written": work.written, "signals": signals, "descriptors": descriptors}


EVENT = {
    "version": "2.0",
    "rawPath": "/",
    "headers": {},
    "requestContext": {"http": {"method": "GET", "path": "/"}},
    "isBase64Encoded": False,
}


class _Work:
    """What user code has to write, and what it knows of it.

    Attributes:
        written: of each chunk that was begun: its write returned.
        storm: what comes meanwhile.
    """

    def __init__(self, asked: dict[str, Any]) -> None:
        self.written: list[bool] = []
        self._asked = asked
        self._chance = random.Random(asked["seed"])
        self.storm = _Storm(self._chance)

    def chunks(self, writer: CodeType) -> Iterator[bytes]:
        """Yield each chunk that the code of `writer` is to write, in the midst of the storm."""
        self.storm.begin(writer)
        for number in range(self._asked["chunks"]):
            self.written.append(False)
            yield bytes((number,)) * self._asked["size"]
        self.storm.end()

    def pause(self) -> float:
        return self._chance.choice((0, 0, 0.0001, 0.0006))


class _Storm:
    """Strikes at random moments between `begin` and `end`.

    Attributes:
        raises: whether somebody is there to catch what is raised, once.
        count: how often it was.
    """

    def __init__(self, chance: random.Random) -> None:
        self.count = 0
        self._chance = chance
        self._writer: CodeType | None = None  # no storm
        self.raises = False
        signal.signal(signal.SIGALRM, self._strike)

    def begin(self, writer: CodeType) -> None:
        self._writer = writer
        self._set()

    def end(self) -> None:
        self._writer = None
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _set(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self._chance.random() * LONGEST + 1e-5)

    def _strike(self, _: int, frame: FrameType | None) -> None:
        if self._writer is None:  # the last one came too late
            return
        self._set()
        while frame is not None and frame.f_code is not self._writer:
            frame = frame.f_back
        if (
            self.raises and frame is not None
        ):  # else a task is suspended: it would be the event loop that gets it
            self.raises = False
            self.count += 1
            raise TimeIsUpError


# ---------------------------------------------------------------- one handler of each kind


def sync(work: _Work) -> Any:
    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        _write(work, stream.write)

    return handler


def _write(work: _Work, write: Any) -> None:
    storm = work.storm
    for chunk in work.chunks(_write.__code__):
        try:
            storm.raises = True
            write(chunk)
            storm.raises = False
            work.written[-1] = True
        except TimeIsUpError:
            pass
        time.sleep(work.pause())


def async_(work: _Work) -> Any:
    @streamify_response
    async def handler(event: Any, stream: Any, context: Any) -> None:
        await _write_async(work, stream.write)

    return handler


async def _write_async(work: _Work, write: Any) -> None:
    storm = work.storm
    for chunk in work.chunks(_write_async.__code__):
        try:
            storm.raises = True
            await write(chunk)
            storm.raises = False
            work.written[-1] = True
        except TimeIsUpError:
            pass
        await asyncio.sleep(work.pause())


def as_asgi(work: _Work) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def write(chunk: bytes) -> None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

        await send({"type": "http.response.start", "status": 200})
        await _write_async(work, write)
        await send({"type": "http.response.body"})

    return asgi(app, lifespan="off")


def as_wsgi(work: _Work) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        _write(work, start_response("200 OK", []))
        return []

    return wsgi(app)


KINDS = {"sync": sync, "async": async_, "asgi": as_asgi, "wsgi": as_wsgi}

if __name__ == "__main__":
    main()
