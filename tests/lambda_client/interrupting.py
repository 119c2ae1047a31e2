"""Exceptions raised in the midst of the library, at every point at which CPython lets a signal's handler raise.

That is where a Python function begins, and after each call of a C function: the eval loop looks at signals there
(and at the end of each round of a loop, which does not differ from the calls in it). A profile function is called
at the very same points, so that instead of hoping for a signal at a bad moment every moment is tried in turn.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lambda_client
import protocol
from lambda_client import streamify_response
from tests.lambda_client.gateway import Exchange, context, event, receipt_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

HERE = tuple(f"{Path(package.__file__ or '').parent}/" for package in (lambda_client, protocol))

CHUNKS = 8
"""In one response: enough for its first ones to be acknowledged before the last ones are written."""


class InterruptionError(Exception):
    """What a signal's handler raises: a timeout, say."""


@contextmanager
def interrupted_at(
    point: int, error: type[BaseException], within: CodeType | None = None
) -> Iterator[list[str]]:
    """Within the block, let this thread be interrupted once; what is yielded tells where that was.

    Args:
        point: the how manieth of all there are.
        error: what is raised.
        within: only where this has called: what else runs in an event loop is nobody's who could catch it.
    """
    passed, where = [0], list[str]()

    def look(frame: FrameType, what: str, _: object) -> None:
        if what not in ("call", "c_return") or not frame.f_code.co_filename.startswith(HERE):
            return
        if within is not None and not _calls(within, frame):
            return
        passed[0] += 1
        if passed[0] == point:
            sys.setprofile(None)
            where.append(f"{frame.f_code.co_qualname}:{frame.f_lineno} ({what})")
            raise error("at a bad moment")

    sys.setprofile(look)
    try:
        yield where
    finally:
        sys.setprofile(None)


def _calls(code: CodeType, frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def chunk(number: int, size: int) -> bytes:
    """A chunk that no other one begins like."""
    return bytes((ord("a") + number,)) * size


@dataclass
class Told:
    """What user code knows of its response, and what became of it.

    Attributes:
        written: chunks whose write returned (True), or was broken off.
        where: the interruption.
        receipt: what the invocation returned.
        raised: what it raised.
        seconds: how long it took.
    """

    size: int
    written: list[bool] = field(default_factory=list)
    read: bytes = b""
    where: str = ""
    receipt: Any = None
    raised: BaseException | None = None
    seconds: float = 0.0

    def problem(self, exchange: Exchange, *, goes_on: bool) -> str | None:
        """Return what must not be.

        Args:
            exchange: as the gateway saw it.
            goes_on: an interruption that user code took breaks no response.
        """
        clean, rest = exchange.stream.ended, exchange.body
        if self.receipt is not None and self.receipt.tail is not None:
            offset, tail = self.receipt.tail
            clean, rest = self.receipt.status == "end", rest[:offset] + tail
        for number, returned in enumerate(self.written):
            whole = chunk(number, self.size)
            if rest.startswith(whole):
                rest = rest[len(whole) :]
                continue
            if returned and clean:
                return f"chunk {number} is missing, although the end is clean"
            taken = next(at for at in range(len(whole), -1, -1) if rest.startswith(whole[:at]))
            rest = rest[taken:]
            if returned:  # the response breaks off here
                break
        if rest:
            return f"nobody wrote {rest[:40]!r}"
        if clean and len(self.written) < CHUNKS:
            return "the end is clean, but user code has not come so far"
        if goes_on and self.raised is None and not clean:
            return f"user code took the exception, and the response broke: {self.receipt!r:.300}"
        return None


def respond(
    exchange: Exchange,
    point: int,
    error: type[BaseException],
    *,
    size: int,
    asynchronous: bool = False,
) -> Told:
    """Let a handler write numbered chunks, whatever happens to it once."""
    told = Told(size)

    async def write(stream: Any) -> None:
        for number in range(CHUNKS):
            told.written.append(False)
            with suppress(error):
                await stream.write(chunk(number, size))
                told.written[-1] = True

    @streamify_response
    async def suspending(event: Any, stream: Any, context: Any) -> None:
        await write(stream)

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        for number in range(CHUNKS):
            told.written.append(False)
            with suppress(error):
                stream.write(chunk(number, size))
                told.written[-1] = True

    begun = time.monotonic()
    chosen, within = (suspending, write.__code__) if asynchronous else (handler, None)
    with interrupted_at(point, error, within) as where:
        try:
            told.receipt = receipt_of(chosen(event(exchange), context(exchange, seconds=8.0)))
        except (Exception, error) as raised:  # noqa: BLE001 - it is looked at
            told.raised = raised
    told.seconds = time.monotonic() - begun
    told.where = "".join(where)
    return told
