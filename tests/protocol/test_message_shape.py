from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol.codec import encode
from protocol.frames import Data, Head
from protocol.limits import MAX_ELEMENTS, MAX_INT
from protocol.message_shape import SMALL, check_shape, is_plain_data
from tests.protocol.samples import SAMPLES

if TYPE_CHECKING:
    from protocol.frames import Frame

LONG = b"x" * (SMALL + 1)


@pytest.mark.parametrize("frame", SAMPLES, ids=lambda frame: type(frame).__name__)
def test_every_legal_frame_has_a_legal_shape(frame: Frame) -> None:
    check_shape(encode(frame))


@pytest.mark.parametrize(
    "element",
    [
        b"\x7f",
        b"\xc0",
        b"\xc2",
        b"\xc3",
        b"\xcc\xff",
        b"\xcd\xff\xff",
        b"\xce\xff\xff\xff\xff",
        b"\xcf" + bytes(8),
        b"\xd0\x01",
        b"\xd1\x00\x01",
        b"\xd2" + bytes(4),
        b"\xd3" + bytes(8),
        b"\xa0",
        b"\xbf" + bytes(31),
        b"\xd9\x01x",
        b"\xda\x00\x01x",
        b"\xdb\x00\x00\x00\x01x",
        b"\xc4\x01x",
        b"\xc5\x00\x01x",
        b"\xc6\x00\x00\x00\x01x",
        b"\x90",
        b"\xdc\x00\x01\x00",
        b"\xdd\x00\x00\x00\x01\x00",
    ],
    ids=bytes.hex,
)
def test_each_type_is_stepped_over_to_its_last_byte(element: bytes) -> None:
    check_shape(b"\x92" + element + b"\x00")
    with pytest.raises(ValueError, match="cut off"):
        check_shape(b"\x92" + element)


@pytest.mark.parametrize(
    "element", [b"\x80", b"\xca", b"\xcb", b"\xc1", b"\xc7", b"\xd4", b"\xde", b"\xdf", b"\xff"]
)
def test_what_the_protocol_does_not_use_is_refused(element: bytes) -> None:
    with pytest.raises(ValueError, match="a map, float, extension or negative"):
        check_shape(b"\x91" + element)


def test_depth_and_number_of_elements_are_bounded() -> None:
    check_shape(b"\x91\x91\x91\x00")
    with pytest.raises(ValueError, match="too deep"):
        check_shape(b"\x91\x91\x91\x90")
    most = b"\xdd" + (MAX_ELEMENTS - 1).to_bytes(4, "big") + bytes(MAX_ELEMENTS - 1)
    check_shape(most)
    more = b"\xdd" + MAX_ELEMENTS.to_bytes(4, "big") + bytes(MAX_ELEMENTS)
    with pytest.raises(ValueError, match=f"more than {MAX_ELEMENTS}"):
        check_shape(more)


@pytest.mark.parametrize("offset", [0, 200, 2**16, 2**32, MAX_INT])
def test_a_data_is_known_by_its_first_bytes(offset: int) -> None:
    assert is_plain_data(encode(Data(1, offset, LONG)))


@pytest.mark.parametrize(
    "message",
    [
        encode(Head(1, 200, ((b"a", LONG),))),
        b"\x95" + encode(Data(1, 0, LONG))[1:],
        b"\x94\x04\x90\x00\xc5\x02\x00" + LONG,
        b"\x94\x04\x01\x90\xc5\x02\x00" + LONG,
        b"\x94\x04\x01\x00\xdc\x01\x00" + LONG,
    ],
)
def test_what_only_resembles_a_data_is_walked_over(message: bytes) -> None:
    assert not is_plain_data(message)
