"""Bytes <-> frames. The only module that knows msgpack.

`decode` raises nothing but RemoteProtocolError, whatever the bytes are, and allocates no more than
the message's own size plus a constant: elements are counted before any is built, lengths are checked
by msgpack before it allocates, arrays are capped, and maps and extensions refused.
"""

from __future__ import annotations

import struct
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgpack  # type: ignore[import-untyped]  # it ships no types

from protocol import frames
from protocol.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from protocol.limits import (
    DEFAULT_MAX_FRAME,
    FIRST_IGNORABLE_TYPE,
    KIB,
    LAST_TYPE,
    MAX_DEPTH,
    MAX_HEADERS,
    MAX_INT,
    MAX_MAX_FRAME,
    MAX_MESSAGE,
    MAX_TOKEN,
    MAX_URL,
    MIN_MAX_FRAME,
    Limits,
    max_message,
)
from protocol.message_shape import SMALL, check_shape, is_plain_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.headers import HeaderList

#: No legal array is longer; caps what a short message can make a decoder allocate.
_MAX_ARRAY = 2 * MAX_HEADERS
_XID_SIZE = 16
#: Bytes of an undecodable message that errors show: its array and its type. What follows may be anybody's.
_PREFIX_SHOWN = 2


class Direction(Enum):
    """Who may send a frame."""

    FUNCTION_TO_GATEWAY = "F->G"
    GATEWAY_TO_FUNCTION = "G->F"
    BOTH = "both"


# ------------------------------------------------------------------------------- field checks
# An integer is in a range. Everything else has a function, which takes a decoded value, and returns it
# as the frame holds it or raises ValueError.

_uint = range(MAX_INT + 1)
_positive = range(1, MAX_INT + 1)
_crc = range(2**32)


def _not_in(numbers: range) -> ValueError:
    last = "2^63-1" if numbers[-1] == MAX_INT else numbers[-1]
    return ValueError(f"must be an integer from {numbers[0]} to {last}")


def _id16(value: object) -> bytes:
    if type(value) is bytes and len(value) == _XID_SIZE:
        return value
    raise ValueError("must be a bin of 16 bytes")


def _payload(value: object) -> bytes:
    if type(value) is bytes and value:
        return value
    raise ValueError("must be a bin of at least 1 byte")


def _text(limit: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        if type(value) is str and len(value) <= limit:
            return value
        raise ValueError(f"must be a str of at most {limit} characters")

    return check


def _optional(check: range | Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else _checked(check, value)


def _checked(check: range | Callable[[object], object], value: object) -> object:
    if type(check) is not range:
        return check(value)
    if type(value) is not int or value not in check:
        raise _not_in(check)
    return value


def _pairs(value: object) -> HeaderList:
    if type(value) is not list:
        raise ValueError("must be an array")
    return tuple([_pair(item) for item in value]) if value else ()


def _pair(item: object) -> tuple[bytes, bytes]:
    if type(item) is list and len(item) == 2 and type(item[0]) is type(item[1]) is bytes:
        return item[0], item[1]
    raise ValueError("must hold arrays of two bins")


def _limits(value: object) -> Limits:
    if type(value) is not list or len(value) < len(_LIMIT_NAMES):
        raise ValueError(f"must be an array of {len(_LIMIT_NAMES)} integers")
    _refuse_exotic(value[len(_LIMIT_NAMES) :], MAX_DEPTH - 2)
    try:
        return _limits_of(*value[: len(_LIMIT_NAMES)])
    except TypeError:  # a list cannot be looked up
        raise _not_in(_uint) from None


@lru_cache(maxsize=4, typed=True)  # a function hears the same ones for as long as it lives
def _limits_of(*numbers: int) -> Limits:
    for number in numbers:
        _checked(_uint, number)
    if not MIN_MAX_FRAME <= numbers[0] <= MAX_MAX_FRAME:
        raise ValueError(f"max_frame must be {MIN_MAX_FRAME} to {MAX_MAX_FRAME}")
    return Limits(*numbers)


_LIMIT_NAMES = tuple(Limits.__dataclass_fields__)
_message = _text(MAX_MESSAGE)
_url = _optional(_text(MAX_URL))


# ------------------------------------------------------------------------------- frame table


class FrameType(NamedTuple):
    """One row of the frame table.

    Attributes:
        number: first element of the message.
        name: as in the specification.
        direction: who may send it.
        frame: its class; the fields are the class's, in its order.
        checks: one per field: the range of a number, or what returns the value or raises ValueError.
    """

    number: int
    name: str
    direction: Direction
    frame: type[frames.Frame]
    checks: tuple[range | Callable[[object], object], ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Field names in the order of the wire."""
        return tuple(self.frame.__dataclass_fields__)


_F, _G, _BOTH = Direction.FUNCTION_TO_GATEWAY, Direction.GATEWAY_TO_FUNCTION, Direction.BOTH

FRAME_TABLE = (
    FrameType(
        0,
        "ATTACH",
        _F,
        frames.Attach,
        (_positive, _id16, _positive, _positive, _text(MAX_TOKEN), _id16, *(_uint,) * 5),
    ),
    FrameType(
        1, "ATTACHED", _G, frames.Attached, (_positive, _uint, _crc, _uint, _uint, _uint, _limits)
    ),
    FrameType(2, "REJECT", _G, frames.Reject, (_positive, _uint, _optional(_uint), _message, _url)),
    FrameType(3, "HEAD", _F, frames.Head, (_positive, _uint, _pairs, _uint)),
    FrameType(4, "DATA", _BOTH, frames.Data, (_positive, _uint, _payload)),
    FrameType(5, "END", _BOTH, frames.End, (_positive, _uint, _crc, _pairs, _uint)),
    FrameType(6, "END_ACK", _BOTH, frames.EndAck, (_positive, _uint)),
    FrameType(7, "WINDOW", _BOTH, frames.Window, (_positive, _uint, _uint)),
    FrameType(8, "RESET", _F, frames.Reset, (_positive, _uint, _uint, _message)),
    FrameType(9, "CANCEL", _G, frames.Cancel, (_positive, _uint, _message)),
    FrameType(10, "PING", _BOTH, frames.Ping, (_uint,)),
    FrameType(11, "PONG", _BOTH, frames.Pong, (_uint,)),
    FrameType(12, "PARK", _F, frames.Park, ()),
    FrameType(13, "GOAWAY", _BOTH, frames.Goaway, (_uint, _uint, _url)),
)
#: Kept free for handing a stream over to another invocation.
RESERVED_TYPES = (14, 15)


class _Plan(NamedTuple):
    """A row as it is decoded, in half the time that asking each range would take."""

    numbers: tuple[tuple[int, int, int], ...]  # index of a field, its least and its largest value
    others: tuple[tuple[int, Callable[[object], object]], ...]


def _plan(row: FrameType) -> _Plan:
    checks = list(enumerate(row.checks))
    numbers = tuple((at, one[0], one[-1]) for at, one in checks if isinstance(one, range))
    others = tuple((at, one) for at, one in checks if not isinstance(one, range))
    return _Plan(numbers, others)


_PLANS = {row.number: _plan(row) for row in FRAME_TABLE}
_BY_NUMBER = {row.number: row for row in FRAME_TABLE}
DIRECTIONS = {row.frame: row.direction for row in FRAME_TABLE}
_DATA = 4

#: To make one for each message costs as much again. Nobody packs two messages at a time, and whatever breaks one
#: off (no memory for its bytes; a signal's handler, where msgpack is without its extension) may leave it in here.
_packer = msgpack.Packer()

#: From this size on a payload is a part of its own: to copy less costs less than to handle a part.
PART_MIN = 4 * KIB
#: What stands before the bytes of a bin in msgpack, by the width of its length; an empty one has two bytes.
_BIN16, _BIN32 = struct.Struct(">BH"), struct.Struct(">BI")


# ------------------------------------------------------------------------------- encode


def _fields(row: FrameType) -> Callable[[frames.Frame], tuple[object, ...]]:
    """Return what takes the fields out of a frame of this type, in their order."""
    if len(row.fields) < 2:  # attrgetter of one name returns no tuple
        return lambda frame: tuple([getattr(frame, name) for name in row.fields])
    fields = attrgetter(*row.fields)
    if row.frame is frames.Attached:
        return lambda frame: (*fields(frame)[:-1], fields(frame)[-1].to_wire())
    return fields


_FIELDS = {row.frame: (row.number, _fields(row)) for row in FRAME_TABLE}


def encode(frame: frames.Frame) -> bytes:
    """Return one WebSocket message for one frame.

    Raises:
        LocalProtocolError: a field that msgpack cannot carry (a wrong type, a number over 64 bits).
    """
    return b"".join(encode_parts(frame))


def encode_parts(frame: frames.Frame) -> tuple[bytes | memoryview, ...]:
    """Return the message of `encode` in parts: a large payload is one by itself, and was not copied.

    Raises:
        LocalProtocolError: as `encode`.
    """
    payload, size = b"", 0
    try:
        if type(frame) is frames.Data:
            payload, size = frame.data, len(frame.data)
            data = payload if size < PART_MIN else b""
            packed: bytes = _packer.pack((_DATA, frame.sid, frame.offset, data))
        else:
            number, fields = _FIELDS[type(frame)]
            packed = _packer.pack((number, *fields(frame)))
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise LocalProtocolError(f"cannot encode {type(frame).__name__}: {error}") from error
    except BaseException:
        _packer.reset()
        raise
    if size < PART_MIN:
        return (packed,)
    width = _BIN16.pack(0xC5, size) if size < 1 << 16 else _BIN32.pack(0xC6, size)
    return packed[:-2] + width, payload


# ------------------------------------------------------------------------------- decode


def decode(
    data: bytes | bytearray | memoryview, *, max_frame: int = DEFAULT_MAX_FRAME
) -> frames.Frame | None:
    """Return the frame in one WebSocket message.

    Args:
        data: the whole message.
        max_frame: largest DATA payload in bytes on this connection.

    Returns:
        The frame; None for a type that this version does not know and may ignore (count it).

    Raises:
        RemoteProtocolError: with close code 4413 for a message or a DATA that is too large, else
            4400; the text names the field, and of the bytes it shows the first two at most.
    """
    size = len(data)
    if size > max_frame and size > max_message(max_frame):
        raise _too_large(f"a message of {size} bytes is too large")
    if not size or not (0x91 <= data[0] <= 0x9F or data[0] == 0xDC):
        raise _undecodable(data, "not an array with elements")
    try:
        if size > SMALL and not is_plain_data(data):
            check_shape(data)
        items: list[object] = msgpack.unpackb(
            data, max_array_len=_MAX_ARRAY, max_map_len=0, max_ext_len=0
        )
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise _undecodable(data, str(error) or type(error).__name__) from None
    if not items:
        raise _undecodable(data, "an empty array")
    number = items[0]
    row = _BY_NUMBER.get(number) if type(number) is int else None
    if row is None:
        _pass_over(items)
        return None
    return _decode_data(items, max_frame) if number == _DATA else _decode_row(row, items)


def _pass_over(items: list[object]) -> None:
    """Accept what is no frame of this version only if it may be ignored."""
    number = items[0]
    if type(number) is not int or not 0 <= number <= LAST_TYPE:
        raise RemoteProtocolError("the type of a frame must be an integer from 0 to 127")
    if number < FIRST_IGNORABLE_TYPE:
        raise RemoteProtocolError(f"unknown critical frame type {number}")
    _check_extras(items, 1)


def _too_large(why: str) -> RemoteProtocolError:
    return RemoteProtocolError(why, close_code=CloseCode.FRAME_TOO_LARGE)


def _undecodable(data: bytes | bytearray | memoryview, why: str) -> RemoteProtocolError:
    prefix = bytes(data[:_PREFIX_SHOWN]).hex()
    return RemoteProtocolError(f"undecodable message of {len(data)} bytes ({prefix}): {why}")


def _decode_data(items: list[object], max_frame: int) -> frames.Data:
    """Decode the frame that matters for speed."""
    if len(items) == 4:
        _, sid, offset, payload = items
        if type(sid) is type(offset) is int and type(payload) is bytes:
            size = len(payload)
            numbered = 0 < sid <= MAX_INT and offset >= 0
            if numbered and 0 < size <= max_frame and offset + size <= MAX_INT:
                return frames.Data(sid, offset, payload)
    frame = cast("frames.Data", _decode_row(_BY_NUMBER[_DATA], items))
    size = len(frame.data)
    if size > max_frame:
        raise _too_large(f"a DATA of {size} bytes is more than {max_frame}")
    if frame.offset + size > MAX_INT:
        raise RemoteProtocolError(f"{frame}: ends beyond 2^63-1")
    return frame


def _decode_row(row: FrameType, items: list[object]) -> frames.Frame:
    arity = len(row.checks)
    if len(items) <= arity:
        raise RemoteProtocolError(f"{row.name}: {len(items) - 1} fields where {arity} are needed")
    values: list[Any] = items[1 : 1 + arity]
    plan, at = _PLANS[row.number], 0
    try:
        for at, low, high in plan.numbers:
            value = values[at]
            if type(value) is not int or not low <= value <= high:
                raise _not_in(range(low, high + 1))
        for at, check in plan.others:
            values[at] = check(values[at])
    except ValueError as error:
        raise RemoteProtocolError(f"{row.name}.{row.fields[at]}: {error}") from None
    if len(items) > 1 + arity:
        _check_extras(items, 1 + arity)
    return row.frame(*values)


def _check_extras(items: list[object], start: int) -> None:
    try:
        _refuse_exotic(items[start:], MAX_DEPTH - 1)
    except ValueError as error:
        raise RemoteProtocolError(f"element that is not ours to read: {error}") from None


def _refuse_exotic(items: list[object], depth: int) -> None:
    """Check elements that are ignored: even those hold only the types that the protocol allows."""
    for item in items:
        if type(item) is int:
            _checked(_uint, item)
        elif type(item) is list:
            if not depth:
                raise ValueError("nested too deep")
            _refuse_exotic(item, depth - 1)
        elif type(item) not in (bytes, str, bool, type(None)):
            raise ValueError(f"a {type(item).__name__}")
