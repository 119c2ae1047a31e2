"""One end of a stream, the function's, as its tests set it up."""

from __future__ import annotations

from protocol.frames import (
    Attached,
    AttachedFlag,
    Frame,
)
from protocol.function_stream import FunctionStream
from tests.protocol.link import LIMITS, SECRET, envelope

HELD = AttachedFlag.HEAD_KNOWN


def stream(**changes: object) -> FunctionStream:
    return FunctionStream(envelope(**changes), secret=SECRET, limits=LIMITS)


def accepted(
    sid: int = 1, *, recv: int = 0, crc: int = 0, req_lo: int = 0, flags: int = 0
) -> Attached:
    return Attached(sid, recv, crc, recv + 64, flags, req_lo, LIMITS)


def attached(**changes: object) -> FunctionStream:
    function = stream(**changes)
    function.attach(1)
    function.receive(accepted(), 0.0)
    return function


def kinds(frames: list[Frame]) -> list[str]:
    return [type(frame).__name__ for frame in frames]
