"""Functions that are not what the gateway expects: another version, or somebody else's process."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lambda_client.connection as library
from lambda_client import timing
from protocol import codec
from tests.faults.functions import Ask, stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.frames import Frame

Event = dict[str, Any]

LATER = b"\xc0\x07\xa5later"
"""Three more elements, in msgpack: nil, 7, "later"."""

IGNORABLE = b"\x94\x64" + LATER
"""A frame of type 100, which a receiver may ignore."""


def other_major(event: Event, context: Any) -> Any:
    """Speaks a protocol that this gateway does not know."""
    vars(library).update(SUBPROTOCOL="dialback.v9")
    return stream(event, context)


def later_minor(event: Event, context: Any) -> Any:
    """Says more than this version knows, and hears more."""
    vars(library).update(encode=_encode_more, decode=_decode_more)
    return stream(event, context)


def hurried(event: Event, context: Any) -> Any:
    """Is near its deadline when half of its time is over: a tenth may pass while the machine looks elsewhere."""
    vars(timing).update(TIMING=replace(timing.TIMING, deadline_share=0.5))
    return stream(event, context)


def _encode_more(frame: Frame) -> bytes:
    return _more(codec.encode(frame))


def _decode_more(message: bytes, **limits: int) -> Frame | None:
    assert codec.decode(IGNORABLE, **limits) is None
    return codec.decode(_more(message), **limits)


def _more(message: bytes) -> bytes:
    """Add elements to the outer array, whose header counts up to fifteen."""
    count = message[0] & 0x0F
    assert message[0] >> 4 == 0x9
    assert count + 3 <= 15
    return bytes([0x90 | (count + 3)]) + message[1:] + LATER


def lend(event: Event, context: Any) -> Iterator[bytes] | Event:
    """Hand the envelope to the test, whose own function answers for this one."""
    ask = Ask(event)
    ask.room.note("envelope", json.dumps(context.client_context.custom["dialback"]))
    ask.room.wait_at("lent")
    return {"statusCode": 500}
