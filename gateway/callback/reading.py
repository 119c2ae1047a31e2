"""The messages in what a function sends (RFC 6455), found in the very call that brings the bytes.

A binary frame that is a whole message is taken from where it lies: functions say little else. All other
frames are `websockets`' to read, judge and answer, each to its end: so it stands between two frames whenever
the next one is looked at here. Most connections want it for their Close alone, and none has one before.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from abc import abstractmethod
from typing import TYPE_CHECKING

from typing_extensions import override
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from protocol.errors import CloseCode

try:
    from websockets.speedups import apply_mask
except ImportError:  # installed without its extension
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from collections.abc import Callable

OTHERS_MAX = 1000
"""Frames in one read that are no whole message: each takes 10 us, a message of a few bytes 2. Functions send one,
for their Close, and who sends messages in pieces of 256 bytes no more; but 256 KiB hold 43,690 empty PINGs."""

_WHOLE_BINARY = 0x82
"""FIN, and the opcode of a binary message."""

_MASKED = 0x80
_MASK = 4

_TWO_BYTES, _EIGHT_BYTES = 126, 127
"""Lengths that say how many bytes follow which hold the length."""

_LENGTHS = {_TWO_BYTES: struct.Struct("!H"), _EIGHT_BYTES: struct.Struct("!Q")}


class FrameReader(asyncio.Protocol):
    """Reads one connection, from the answer to its upgrade on.

    Args:
        limit: most bytes of a message.
    """

    __slots__ = ("_begun", "_joined", "_left", "_library", "_limit", "_take", "_theirs")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._take: Callable[[bytes], None]
        """Called with each binary message, in order."""
        self._begun: bytes | bytearray = b""  # of a frame that is not whole, and no library's
        self._left = 0  # bytes of a frame that have yet to come, once its header has
        self._theirs = False  # the next frame is the library's, whatever it is
        self._joined: bytearray | None = None  # fragments of a message that is not whole
        self._library: Protocol | None = None

    @abstractmethod
    def _answer(self, library: Protocol) -> None:
        """The library may have something to say, or the connection be over."""

    @abstractmethod
    def _refuse_text(self) -> None:
        """A text message came."""

    @abstractmethod
    def _refuse_flood(self) -> None:
        """More than `OTHERS_MAX` frames came at once; nothing of what follows is read."""

    # ------------------------------------------------------------ whole messages

    @override
    def data_received(self, data: bytes) -> None:
        at = 0
        if self._left:
            at = self._go_on(data)
        elif self._begun:
            data, self._begun = bytes(self._begun) + data, b""
        end = len(data)
        others = 0
        while at < end:
            start = at + 2 + _MASK
            if start <= end and data[at] == _WHOLE_BINARY and not self._theirs:
                size = data[at + 1] - _MASKED
                if size == _TWO_BYTES:
                    size = data[at + 2] << 8 | data[at + 3]
                    start += 2
                elif size == _EIGHT_BYTES:
                    size = -1
                if 0 <= size <= self._limit and start + size <= end:
                    at = start + size
                    self._take(apply_mask(data[start:at], data[start - _MASK : start]))
                    continue
            others += 1
            if others > OTHERS_MAX:
                self._stop_reading()
                return
            at = self._begin(data, at)

    # ------------------------------------------------------------ whatever else comes

    def _begin(self, data: bytes, at: int) -> int:
        """Read what there is of a frame that is long, not whole, or the library's; where that ends."""
        end = len(data)
        if self._left:
            return end  # of what has no frames any more
        header = _header(data[at + 1]) if end - at > 1 else 2
        if end - at < header:
            self._begun = data[at:]
            return end
        size = data[at + 1] & ~_MASKED
        if (length := _LENGTHS.get(size)) is not None:
            (size,) = length.unpack_from(data, at + 2)
        part = memoryview(data)[at : at + header + size]
        self._left = header + size - len(part)
        plain = data[at] == _WHOLE_BINARY and data[at + 1] >= _MASKED and size <= self._limit
        if self._theirs or not plain:
            self._let_library_read(part)
        elif self._left:
            self._begun = bytearray(part)
        else:
            self._take(_payload(part))
        return at + len(part)

    def _go_on(self, data: bytes) -> int:
        """Read more of a frame that has begun in an earlier read; how much of this one."""
        part = memoryview(data)[: self._left]
        self._left -= len(part)
        if not self._begun:
            self._let_library_read(part)
            return len(part)
        self._begun += part
        if not self._left:
            whole, self._begun = self._begun, b""
            self._take(_payload(memoryview(whole)))
        return len(part)

    def _stop_reading(self) -> None:
        library = self._get_library()
        library.fail(CloseCode.TOO_FAST)
        self._left = sys.maxsize
        self._answer(library)
        self._refuse_flood()

    def _let_library_read(self, part: memoryview) -> None:
        library = self._get_library()
        if library.eof_sent:
            self._left = sys.maxsize  # what follows has no frames any more
            return
        library.receive_data(bytes(part))
        for event in library.events_received():
            if isinstance(event, Frame):
                self._note(event)
        self._theirs = library.state is not OPEN or self._joined is not None
        self._answer(library)

    def _note(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self._refuse_text()
        elif frame.opcode in (Opcode.BINARY, Opcode.CONT):
            joined = self._joined = self._joined or bytearray()
            joined += frame.data
            if frame.fin:
                self._joined = None
                self._take(bytes(joined))

    def _get_library(self) -> Protocol:
        if self._library is None:
            self._library = Protocol(Side.SERVER, max_size=self._limit)
        return self._library

    def _let_go_of_library(self) -> None:
        """Nothing comes any more. Its parser holds the library, and a frame: what holds that again is a circle."""
        library, self._library = self._library, None
        if library is not None:
            library.parser.close()
            if library.parser_exc is not None:
                library.parser_exc.__traceback__ = None


def _header(second: int) -> int:
    """Return the size of a header, by its second byte."""
    length = _LENGTHS.get(second & ~_MASKED)
    return 2 + (0 if length is None else length.size) + (_MASK if second & _MASKED else 0)


def _payload(frame: memoryview) -> bytes:
    """Return what a whole masked frame holds."""
    start = _header(frame[1])
    return apply_mask(frame[start:], bytes(frame[start - _MASK : start]))
