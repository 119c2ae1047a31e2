"""Where one event of an event stream ends and the next begins (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

BOM = b"\xef\xbb\xbf"
"""The byte order mark in UTF-8. One at the beginning is no part of the stream."""

# A line ends with LF, CR, or both; an event ends with an empty line. A CR at the very end counts: should
# an LF follow, it belongs to the same line end, and whatever came between stands behind it.
_EMPTY_LINE = (b"\n\n", b"\r\r", b"\n\r", b"\n\r\n", b"\r\r\n")
_TAIL = max(map(len, _EMPTY_LINE))


class EventBoundary:
    """Follows an event stream, and tells whether an event of ours could stand at its end.

    It looks at the last three bytes of each piece only, however the pieces are cut.
    """

    __slots__ = ("_start", "_tail")

    def __init__(self) -> None:
        self._start: bytes | None = b""  # until it is clear whether a byte order mark leads
        self._tail = b"\n\n"  # the beginning is as good as the end of an event

    def feed(self, data: bytes) -> None:
        """Note the next bytes of the stream."""
        if self._start is not None:
            self._begin(self._start + data)
        elif len(data) >= _TAIL:
            self._tail = data[-_TAIL:]
        else:
            self._tail = (self._tail + data)[-_TAIL:]

    @property
    def between_events(self) -> bool:
        """Whether the stream stands between two events, or at its beginning."""
        return self._tail.endswith(_EMPTY_LINE)

    def _begin(self, start: bytes) -> None:
        if start != BOM and BOM.startswith(start):
            self._start = start
            self._tail = b"\n\n" + start
        else:
            self._start = None
            self._tail = (b"\n\n" + start.removeprefix(BOM)[-_TAIL:])[-_TAIL:]
