"""Frames whose fields lie near the values that matter where a stream stands."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from protocol.codec import decode, encode
from protocol.frames import (
    Attached,
    Cancel,
    Data,
    End,
    EndAck,
    Frame,
    Goaway,
    Head,
    Park,
    Ping,
    Pong,
    Reject,
    Reset,
    Window,
)
from protocol.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.choices import Choices

MAX_FRAME = 4096
LIMITS = Limits(max_frame=MAX_FRAME)
#: A body that differs at every offset, so that one byte lost, doubled or moved is seen.
PATTERN = b"".join(number.to_bytes(2, "big") for number in range(1, 2000))

HEADS = (
    Head(1, 200, ()),
    Head(1, 200, ((b"content-length", b"20"),)),
    Head(1, 204, ((b"X", b" y "),)),
    Head(1, 200, ((b"a\r\n", b"b"),)),
    Head(1, 99, ()),
)


def data(choices: Choices, sid: int, *offsets: int, credit: int) -> Data:
    """Bytes of the pattern where they belong, mostly; now and then up to where credit ends, or so."""
    offset = choices.near(*offsets)
    size = choices.below(72)
    if size >= 64:
        size = max(1, credit - offset + size - 68)
    honest = PATTERN[offset : offset + size]
    return Data(sid, offset, choices.some(64) if choices.byte() > 240 else honest)


def end(choices: Choices, sid: int, body: bytes) -> End:
    """The end of a body of which so much is known."""
    return End(sid, choices.near(len(body)), choices.near(crc32(body), high=2**32 - 1))


def any_frame(choices: Choices, sid: int) -> Frame:
    """A frame that need not fit, of either direction."""
    number = choices.near
    makers: tuple[Callable[[], Frame], ...] = (
        lambda: Ping(number()),
        lambda: Pong(number(1)),
        lambda: Goaway(number(1), number(), choices.pick((None, "wss://h"))),
        Park,
        lambda: Reset(sid, number(1), number(), "why"),
        lambda: Window(sid, number(), number()),
        lambda: EndAck(sid, number()),
        lambda: Cancel(sid, number(1), "why"),
        lambda: Reject(sid, number(3, 7), choices.pick((None, 5)), "why", None),
        lambda: Attached(sid, number(), 0, number(), number(), number(), LIMITS),
        lambda: Data(sid, number(), choices.some(64)),
    )
    return choices.pick(makers)()


def carried(frame: Frame) -> Frame | None:
    """`frame` as the peer reads it."""
    return decode(encode(frame), max_frame=MAX_FRAME)


def carried_unchanged(frame: Frame) -> None:
    """A frame that our side sends is legal."""
    assert carried(frame) == frame, frame
