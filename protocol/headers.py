"""Header lists: ordered pairs of bytes, repeats kept; and what a response head must look like."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from protocol.errors import ProtocolError
from protocol.limits import MAX_HEAD_SIZE, MAX_HEADER_SIZE, MAX_HEADERS, MAX_STATUS, MIN_STATUS

if TYPE_CHECKING:
    from collections.abc import Iterable

HeaderList = tuple[tuple[bytes, bytes], ...]

#: RFC 9110 section 7.6.1 (and Proxy-Connection, which old clients send).
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

#: RFC 9110 section 5.6.2.
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN_IN_VALUE = re.compile(rb"[\r\n\0]")
_SHOWN = 64

#: Lists of headers remembered: a function says the same again and again. Of the largest they are 3 MiB.
_REMEMBERED = 32


class HeadError(ProtocolError):
    """A response head that must not reach an HTTP client.

    Attributes:
        header: name of the header at fault, shortened; None when it is the status or the total.
    """

    def __init__(self, message: str, header: bytes | None = None) -> None:
        self.header = None if header is None else header[:_SHOWN]
        shown = "" if self.header is None else f"header {self.header!r}: "
        super().__init__(shown + message)


def check_head(status: object, headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
    """Check a response head and return its headers as they may be sent.

    Names are lower-cased, hop-by-hop headers dropped (and those that `Connection` names), and
    leading and trailing blanks of values cut off.

    Raises:
        HeadError: status no integer from 200 to 599; a name that is no token; a value with CR, LF, NUL; a
            Content-Length that is repeated or not decimal; more than 128 headers, 16 KiB in one, or
            48 KiB in all.
    """
    if not isinstance(status, int) or not MIN_STATUS <= status <= MAX_STATUS:
        raise HeadError(f"status {status!r} is no integer from {MIN_STATUS} to {MAX_STATUS}")
    return _checked(tuple(headers))


@lru_cache(_REMEMBERED)
def _checked(headers: HeaderList) -> HeaderList:
    if len(headers) > MAX_HEADERS:
        raise HeadError(f"{len(headers)} headers are more than {MAX_HEADERS}")
    checked, total = [], 0
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise HeadError("the name is no token", name)
        if len(name) + len(value) > MAX_HEADER_SIZE:
            raise HeadError(f"longer than {MAX_HEADER_SIZE} bytes", name)
        if _FORBIDDEN_IN_VALUE.search(value):
            raise HeadError("the value holds CR, LF or NUL", name)
        checked.append((name.lower(), value.strip(b" \t")))
        total += len(name) + len(value)
    if total > MAX_HEAD_SIZE:
        raise HeadError(f"{total} bytes of headers are more than {MAX_HEAD_SIZE}")
    kept = strip_hop_by_hop(checked)
    content_length(kept)
    return kept


def content_length(headers: HeaderList) -> int | None:
    """Return the body length that headers promise, or None. Names are in lower case.

    Raises:
        HeadError: more than one Content-Length, or one that is not decimal digits.
    """
    length = None
    for name, value in headers:
        if name == b"content-length":
            if length is not None:
                raise HeadError("repeated", name)
            digits = value.strip(b" \t")  # an application's own head is not checked yet
            if not (digits.isdigit() and len(digits) < 19):
                raise HeadError("not a decimal number", name)
            length = int(digits)
    return length


def strip_hop_by_hop(headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
    """Return the headers (names in lower case) without those that end at the next hop.

    Those are the fixed set and whatever `Connection` names (RFC 9110 section 7.6.1), but never Host:
    nothing after the next hop could do without it.
    """
    headers = tuple(headers)
    if HOP_BY_HOP.isdisjoint(dict(headers)):  # Connection itself is one of them
        return headers
    options = b",".join([value for name, value in headers if name == b"connection"]).split(b",")
    dropped = HOP_BY_HOP | ({option.strip().lower() for option in options} - {b"host"})
    return tuple([pair for pair in headers if pair[0] not in dropped])
