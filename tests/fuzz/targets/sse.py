"""`EventBoundary`: however the bytes are cut, it knows where an event of ours can stand.

The oracle reads the whole text anew, as section 9.2.6 of WHATWG HTML says a browser does.
"""

from __future__ import annotations

import re

from gateway.edge.sse import EventBoundary
from tests.fuzz.choices import Choices

OURS = b'event: error\ndata: {"error":"x"}\n\n'
_WORDS = (
    b"\n",
    b"\r",
    b"\r\n",
    b":",
    b"data: a",
    b"event: b",
    b"id: 1",
    b" ",
    b"x",
    b"\xef\xbb\xbf",
)
_LINE_END = re.compile("\r\n|\n|\r")

Event = tuple[str, str]


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    step = 1 + choices.below(8)
    words = choices.flag()
    text = choices.rest()
    if words:
        text = b"".join(_WORDS[byte % len(_WORDS)] for byte in text)
    whole = _between_events([text])
    for cut in (step, 1, 2, 3):
        pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
        assert _between_events(pieces) == whole, f"in pieces of {cut} it is another answer"
        assert _between_events([piece for one in pieces for piece in (b"", one)]) == whole
    lines = _lines(text)
    assert whole == (lines[-1] == "" and (len(lines) == 1 or lines[-2] == ""))
    if whole:
        assert events(text + OURS) == [*events(text), ("error", '{"error":"x"}')]


def _between_events(pieces: list[bytes]) -> bool:
    boundary = EventBoundary()
    for piece in pieces:
        boundary.feed(piece)
    return boundary.between_events


def _lines(text: bytes) -> list[str]:
    """Every line, and at the end what is not a whole line yet."""
    return _LINE_END.split(text.decode("utf-8", "replace").removeprefix("\ufeff"))


def events(text: bytes) -> list[Event]:
    """The events that a browser would dispatch: their types and data."""
    found: list[Event] = []
    kind, data = "", ""
    for line in _lines(text)[:-1]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                found.append((kind or "message", data.removesuffix("\n")))
            kind, data = "", ""
        elif name == "event":
            kind = value
        elif name == "data":
            data += value + "\n"
    return found
