"""The little of HTTP/1.1 that a Lambda runtime speaks to its Runtime API.

The peer is awslambdaric (libcurl, and http.client for init errors): one request at a time on a
kept-alive connection, bodies with Content-Length. Reading that by hand costs a tenth of a general
server, and lets an invocation be written to a waiting runtime without a task in between.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gateway.invoke.local.limits import HEAD_MAX

_LENGTH_DIGITS = 18  # below 2^63; Python refuses to read thousands of digits at all
# What says how long the body is, and whether it waits for a word; nothing else in a head matters here.
_FRAMING: Final = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r\n]*)", re.IGNORECASE
)


class BadHttp(Exception):
    """The peer does not speak HTTP as a runtime does; the connection is to be closed."""


class Request(msgspec.Struct, frozen=True):
    """One request of the runtime.

    Attributes:
        method: as sent.
        path: as sent.
        body: the body; None when it was over the limit and therefore thrown away.
    """

    method: bytes
    path: bytes
    body: bytes | None


class _Head(msgspec.Struct):
    method: bytes
    path: bytes
    oversized: bool
    missing: int


class RequestReader:
    """Bytes in, requests out.

    Attributes:
        body_max: longer bodies are counted and thrown away as they arrive.
        expects_continue: the peer waits for ``100 Continue``; whoever answers it resets this.
    """

    def __init__(self, body_max: int) -> None:
        self.body_max = body_max
        self.expects_continue = False
        self._buffer = bytearray()
        self._scanned = 0
        self._head: _Head | None = None
        # The last read that was one request without a body: a runtime's ``next`` is always the same.
        self._read_before = b""
        self._found_before: list[Request] = []

    def feed(self, data: bytes) -> list[Request]:
        """Take bytes from the socket; return the requests that are complete now.

        Raises:
            BadHttp: these bytes are no request of a runtime.
        """
        between = not self._buffer and self._head is None
        if between and data == self._read_before:
            return self._found_before
        self._buffer += data
        requests: list[Request] = []
        while self._buffer and (head := self._head or self._read_head()) is not None:
            if head.oversized:
                thrown = min(len(self._buffer), head.missing)
                del self._buffer[:thrown]
                head.missing -= thrown
            if len(self._buffer) < head.missing:
                break
            body = None if head.oversized else bytes(memoryview(self._buffer)[: head.missing])
            del self._buffer[: head.missing]
            self._head = None
            requests.append(Request(head.method, head.path, body))
        alone = between and len(requests) == 1 and not self._buffer
        if alone and requests[0].body == b"" and not self.expects_continue:
            self._read_before, self._found_before = data, requests
        return requests

    def _read_head(self) -> _Head | None:
        end = self._buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > HEAD_MAX:
                raise BadHttp("the request head does not end")
            return None
        head = bytes(memoryview(self._buffer)[:end])
        del self._buffer[: end + 4]
        self._scanned = 0
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3:
            raise BadHttp("the request line is malformed")
        length = 0
        for name, value in _FRAMING.findall(head):
            match name.lower():
                case b"content-length":
                    digits = value.rstrip()
                    if not digits.isdigit() or len(digits) > _LENGTH_DIGITS:
                        raise BadHttp("Content-Length is no number")
                    length = int(digits)
                case b"expect":
                    self.expects_continue = value.lower() == b"100-continue"
                case _:
                    raise BadHttp("a body without Content-Length is not supported")
        self._head = _Head(words[0], words[1], length > self.body_max, length)
        return self._head
