"""Where events end, held against a reader of whole streams."""

from __future__ import annotations

import itertools
import re

import pytest

from gateway.edge.sse import EventBoundary

BOM = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n|\n|\r")


def stands_between_events(stream: bytes) -> bool:
    """The same question, asked of the whole stream at once: is its last line empty, and ended?"""
    *ended, begun = LINE_END.split(stream.removeprefix(BOM))
    return not begun and (not ended or not ended[-1])


def followed(pieces: list[bytes]) -> bool:
    boundary = EventBoundary()
    for piece in pieces:
        boundary.feed(piece)
    return boundary.between_events


def cuts(stream: bytes) -> list[list[bytes]]:
    """The stream in every way of two cuts, empty pieces included; and byte by byte."""
    places = range(len(stream) + 1)
    pairs = itertools.combinations_with_replacement(places, 2)
    whole = [[stream[:a], stream[a:b], stream[b:]] for a, b in pairs]
    return [*whole, [stream[i : i + 1] for i in range(len(stream))]]


@pytest.mark.parametrize("start", [b"", BOM, BOM[:1], BOM[:2], BOM * 2])
def test_every_short_stream_however_it_is_cut(start: bytes) -> None:
    for length in range(6):
        for letters in itertools.product((b"\r", b"\n", b"x"), repeat=length):
            stream = start + b"".join(letters)
            expected = stands_between_events(stream)
            for pieces in cuts(stream):
                assert followed(pieces) is expected, pieces


@pytest.mark.parametrize(
    ("stream", "between"),
    [
        (b"", True),
        (BOM, True),
        (b"data: x\n\n", True),
        (b"data: x\r\n\r\n", True),
        (b"data: x\r\r", True),
        (b": a comment\n\n", True),
        (b"data: x\n", False),
        (b"data: x\r\n", False),
        (b"data: x\n\ndata: y", False),
        (b"data: \xef\xbb\xbf", False),
    ],
)
def test_what_ends_an_event(stream: bytes, between: bool) -> None:
    assert followed([stream]) is between
    assert stands_between_events(stream) is between
