"""The head of a response: how its body will end, and the lines that say so."""

from __future__ import annotations

import time
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.edge.client_request import ClientRequest
    from protocol.headers import HeaderList

EXCHANGE_HEADER = b"x-dialback-exchange"

# They ask proxies to pass an event stream on as it comes; what the function says goes first.
_FOR_EVENT_STREAMS = (
    (b"x-accel-buffering", b"X-Accel-Buffering: no"),
    (b"cache-control", b"Cache-Control: no-transform"),
)
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
# Headers that the edge itself decides about.
_OURS = frozenset({b"content-length", b"transfer-encoding", b"connection", EXCHANGE_HEADER})


class Framing(Enum):
    """How the end of the body shows (RFC 9112 section 6.3)."""

    NONE = "none"
    SIZED = "sized"
    CHUNKED = "chunked"
    CLOSE = "close"


def choose_framing(request: ClientRequest, status: int, length: int | None) -> Framing:
    """Decide how the body ends; `length` in bytes, if it is promised (RFC 9112 section 6)."""
    if status in (204, 304) or request.method == "HEAD":
        return Framing.NONE
    if length is not None:
        return Framing.SIZED
    return Framing.CLOSE if request.version < (1, 1) else Framing.CHUNKED


def framing_lines(
    framing: Framing, request: ClientRequest, length: int | None, *, keep_alive: bool
) -> list[bytes]:
    """Return the header lines that tell how the body ends, and whether the connection goes on."""
    lines = []
    if framing is Framing.CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
    elif length is not None:
        lines.append(b"Content-Length: %d" % length)
    old = request.version < (1, 1)
    if keep_alive == old:
        lines.append(b"Connection: keep-alive" if old else b"Connection: close")
    return lines


def render_head(
    version: tuple[int, int],
    status: int,
    headers: HeaderList,
    ours: list[bytes],
    *,
    events: bool,
) -> bytes:
    """Return the whole head.

    Args:
        version: of HTTP, as the request names it: 1.1 is answered with 1.1, what is older with 1.0.
        status: 200 to 599.
        headers: checked pairs; those that the edge decides about are left out.
        ours: the lines that say what the edge decided.
        events: whether the content is an event stream.

    Raises:
        ValueError: a header holds what would break the head.
    """
    named = dict(headers)
    minor = version >= (1, 1)
    lines = [b"HTTP/1.%d %d %s" % (minor, status, _REASONS.get(status, b"Unknown"))]
    lines += [name + b": " + value for name, value in headers if name not in _OURS]
    lines += ours
    if b"date" not in named:
        lines.append(b"Date: " + _date(int(time.time())))
    if events:
        lines += [line for name, line in _FOR_EVENT_STREAMS if name not in named]
    head = b"\r\n".join(lines)
    if not head.count(b"\r") == head.count(b"\n") == len(lines) - 1 or b"\0" in head:
        raise ValueError("a header would break the response head")
    return head + b"\r\n\r\n"


def is_event_stream(headers: HeaderList) -> bool:
    """Whether the content is an event stream, in whatever coding."""
    for name, value in headers:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            if kind == b"text/event-stream":
                return True
    return False


def is_coded(headers: HeaderList) -> bool:
    """Whether the body is the content in a coding, such as gzip."""
    codings = (value for name, value in headers if name == b"content-encoding")
    return any(coding.lower() != b"identity" for coding in codings)


_last_date = (0, b"")


def _date(second: int) -> bytes:
    """Return the Date of a second, made once (RFC 9110 section 6.6.1)."""
    global _last_date  # noqa: PLW0603 - one small cache for the process
    if _last_date[0] != second:
        _last_date = (second, formatdate(second, usegmt=True).encode())
    return _last_date[1]
