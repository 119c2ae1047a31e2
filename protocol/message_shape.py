"""How many elements a message would make a decoder build, found without building any.

An empty array is one byte on the wire and 64 in memory: what a long message costs is told by the number
of its elements, not by their lengths, which msgpack checks itself.
"""

from __future__ import annotations

from protocol.limits import MAX_DEPTH, MAX_ELEMENTS

#: Messages up to this size need no walk: they cannot hold too many elements, and arrays that announce
#: more than follows cost a decoder 700 bytes for each of theirs at most.
SMALL = 512

_DATA_OF_FOUR = (0x94, 0x04)
_BINS = (0xC4, 0xC5, 0xC6)


_FIXARRAY = 0x90
_FIRST_LONG_ARRAY = 0xDC


def _int_sizes() -> bytearray:
    """Bytes of an integer by its first byte, or 0 if it is none."""
    sizes = bytearray([1] * 0x80 + [0] * 0x80)
    for base in (0xCC, 0xD0):
        sizes[base : base + 4] = (2, 3, 5, 9)
    return sizes


def _sizes() -> bytearray:
    """Bytes of a legal element that its first byte tells by itself, or 0."""
    sizes = _int_sizes()
    sizes[0xA0:0xC0] = range(1, 33)  # fixstr
    for single in (0xC0, 0xC2, 0xC3):  # nil, false, true
        sizes[single] = 1
    return sizes


def _length_sizes() -> bytearray:
    """Bytes that say how long a bin, str or array is, by its first byte, or 0."""
    sizes = bytearray(256)
    sizes[0xC4:0xC7] = sizes[0xD9:0xDC] = bytes((1, 2, 4))
    sizes[0xDC:0xDE] = bytes((2, 4))
    return sizes


_INT_SIZES, _SIZES, _LENGTH_SIZES = _int_sizes(), _sizes(), _length_sizes()


def is_plain_data(data: bytes | bytearray | memoryview) -> bool:
    """Whether a message of more than `SMALL` bytes is a DATA of two integers and one bin.

    Its payload is nearly all of it, so it costs no more than its size.
    """
    if (data[0], data[1]) != _DATA_OF_FOUR:
        return False
    sid = _INT_SIZES[data[2]]
    offset = _INT_SIZES[data[2 + sid]]
    return sid > 0 and offset > 0 and data[2 + sid + offset] in _BINS


def check_shape(data: bytes | bytearray | memoryview) -> None:
    """Walk over a whole message.

    Raises:
        ValueError: more than `MAX_ELEMENTS`; nested deeper than `MAX_DEPTH`; cut off; an element of a
            type that the protocol does not use.
    """
    size, at, elements = len(data), 0, 0
    left = [1]  # elements still to come of each open array
    while left:
        if not left[-1]:
            left.pop()
            continue
        left[-1] -= 1
        elements += 1
        if elements > MAX_ELEMENTS:
            raise ValueError(f"more than {MAX_ELEMENTS} elements")
        if at >= size:
            raise ValueError("cut off")
        at, inside = _step(data, at)
        if inside is not None:
            if len(left) > MAX_DEPTH:
                raise ValueError("nested too deep")
            left.append(inside)


def _step(data: bytes | bytearray | memoryview, at: int) -> tuple[int, int | None]:
    """Return where the next element stands, and how many are inside of this one if it is an array."""
    first = data[at]
    width = _LENGTH_SIZES[first]
    if width:
        after = at + 1 + width
        length = int.from_bytes(data[at + 1 : after], "big")
        return (after, length) if first >= _FIRST_LONG_ARRAY else (after + length, None)
    if first & 0xF0 == _FIXARRAY:
        return at + 1, first & 0x0F
    if not _SIZES[first]:
        raise ValueError("a map, float, extension or negative number")
    return at + _SIZES[first], None
