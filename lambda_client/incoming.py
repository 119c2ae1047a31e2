"""The messages in what a socket gives (RFC 6455), for everything that comes.

A binary frame that is a whole message is taken from where it lies: a gateway says little else, and a request
body is made of nothing else. All other frames are `websockets`' to read, judge and answer, each to its end: so
it stands between two frames whenever the next one is looked at here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

from protocol.errors import CloseCode, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.client import ClientProtocol

_WHOLE_BINARY = 0x82
"""FIN, and the opcode of a binary message."""

_MASKED = 0x80
_LENGTHS = {126: struct.Struct("!H"), 127: struct.Struct("!Q")}
"""How the length follows, where it does not fit the second byte."""

_HEAD_END = b"\r\n\r\n"


class Incoming:
    """Reads one connection, from the answer to its upgrade on.

    Args:
        library: reads what is no whole binary message; what it has to say is for the caller to send.
        limit: most bytes of a message.
        answered: called when the upgrade was answered, for better or worse.
    """

    def __init__(self, library: ClientProtocol, limit: int, answered: Callable[[], None]) -> None:
        self._library = library
        self._limit = limit
        self._answered = answered
        self._before = b""  # the last bytes of the read before: of a header that is not whole
        self._left = 0  # bytes of the frame that has begun
        self._header = 0  # of them
        self._theirs = False  # it is the library's
        self._begun = bytearray()  # its bytes in earlier reads
        self._fragments: list[bytes] = []

    def messages(self, data: bytes) -> Iterator[bytes | memoryview]:
        """Yield each message that is whole now; it is good until the next one is asked for.

        Raises:
            RemoteProtocolError: a text message.
        """
        if self._library.state is not OPEN:
            answer, data = self._split_answer(data)
            yield from self._library_reads(answer)
            if self._library.state is not OPEN:  # not yet, or not any more
                yield from self._library_reads(data)
                return
        view = memoryview(self._before + data if self._before else data)
        self._before = b""
        while view:
            if not self._left and not self._begin(view):
                self._before = bytes(view)
                return
            part, view = view[: self._left], view[self._left :]
            self._left -= len(part)
            if self._theirs:
                yield from self._library_reads(part)
            elif self._left or self._begun:
                self._begun += part
                if not self._left:
                    whole, self._begun = self._begun, bytearray()
                    yield memoryview(whole)[self._header :]
            else:
                yield part[self._header :]

    def _split_answer(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what belongs to the head of the answer, and what follows it."""
        seen = self._before + data
        end = seen.find(_HEAD_END)
        if end < 0:
            self._before = seen[1 - len(_HEAD_END) :]
            return data, b""
        end += len(_HEAD_END) - len(self._before)
        self._before = b""
        return data[:end], data[end:]

    def _begin(self, view: memoryview) -> bool:
        """Look at the header of the next frame; False if it is not whole."""
        if len(view) < 2:
            return False
        first, size = view[0], view[1] & ~_MASKED
        self._header = 2
        if (length := _LENGTHS.get(size)) is not None:
            self._header += length.size
            if len(view) < self._header:
                return False
            (size,) = length.unpack_from(view, 2)
        plain = first == _WHOLE_BINARY and view[1] < _MASKED and size <= self._limit
        self._theirs = not plain or bool(self._fragments) or self._library.state is not OPEN
        self._left = self._header + size
        return True

    def _library_reads(self, part: bytes | memoryview) -> Iterator[bytes]:
        self._library.receive_data(bytes(part))
        for event in self._library.events_received():
            if not isinstance(event, Frame):
                self._answered()
            elif event.opcode is Opcode.TEXT:
                raise RemoteProtocolError("a text message", close_code=CloseCode.UNSUPPORTED_DATA)
            elif event.opcode in (Opcode.BINARY, Opcode.CONT):
                self._fragments.append(bytes(event.data))
                if event.fin:
                    message = b"".join(self._fragments)
                    self._fragments.clear()
                    yield message
