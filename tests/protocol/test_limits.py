from __future__ import annotations

import pytest

from protocol import limits
from protocol.errors import LocalProtocolError
from protocol.limits import Limits, choose_subprotocol, max_message, shorten


def test_the_wire_order_of_limits() -> None:
    assert Limits(4096, 1, 2, 3, 4).to_wire() == (4096, 1, 2, 3, 4)


@pytest.mark.parametrize("size", [limits.MIN_MAX_FRAME - 1, limits.MAX_MAX_FRAME + 1])
def test_a_frame_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(LocalProtocolError, match="max_frame"):
        Limits(max_frame=size)


def test_a_head_fits_a_message_even_when_frames_are_small() -> None:
    assert max_message(4096) == 65536 + 1024
    assert Limits(max_frame=1 << 20).max_message == (1 << 20) + 1024
    assert max_message(4096) > limits.MAX_HEAD_SIZE + limits.MAX_HEADERS * 8


def test_the_subprotocol_that_both_speak() -> None:
    assert choose_subprotocol(["dialback.v9", "dialback.v1"]) == "dialback.v1"
    assert choose_subprotocol(["chat"]) is None
    assert choose_subprotocol([]) is None


def test_texts_are_shortened_to_what_a_peer_accepts() -> None:
    assert shorten("short") == "short"
    assert len(shorten("x" * 1000)) == limits.MAX_MESSAGE
