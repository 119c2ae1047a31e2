"""Compression of responses, for routes that ask for it: gzip, flushed with every write.

gzip alone, because whoever takes deflate takes gzip as well and disagrees with others about what deflate
is (RFC 9110 section 8.4.1.2), and because nothing better is in Python's library.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.edge.client_request import ClientRequest
    from protocol.headers import HeaderList

COMPRESS_MIN = 1024
"""Bytes of a known length below which nothing is gained: the answer fits one packet as it is."""

LEVEL = 4
"""Of nine. Text of 64 KiB took 0.9 ms of CPU and became 36 % of itself, at level 1 0.7 ms and 40 %, at
level 6 1.4 ms and 35 %; short events cost the same 2 us at each."""

WINDOW_BITS, MEMORY_LEVEL = 13, 7
"""zlib holds 2^(13+2) + 2^(7+9) bytes for a stream with these: 96 KiB, instead of 256 KiB with its
defaults, which save 2 to 5 % more of the bytes."""

_GZIP_FORMAT = 16  # added to the window bits (zlib.h, deflateInit2)

_COMPRESSIBLE = re.compile(
    rb"text/.+|.+/.+\+(?:json|xml|text|yaml)"
    rb"|application/(?:json|json-seq|x-ndjson|ndjson|jsonl|xml|xml-dtd|yaml|x-yaml|toml|graphql"
    rb"|javascript|x-javascript|ecmascript|wasm|sql|rtf|x-www-form-urlencoded)"
    rb"|image/(?:bmp|x-icon|vnd\.microsoft\.icon)|font/(?:ttf|otf)"
)
_BODILESS_OR_PART = frozenset({204, 206, 304})
# Each of them is about the bytes as the function sent them.
_ABOUT_BYTES = frozenset(
    {
        b"content-encoding",
        b"content-range",
        b"content-md5",
        b"digest",
        b"content-digest",
        b"repr-digest",
    }
)
# Neither is true of what is compressed on its way.
_NO_LONGER_TRUE = frozenset({b"content-length", b"accept-ranges"})


class Gzip:
    """One body on its way into gzip.

    Attributes:
        size: bytes that came out.
    """

    __slots__ = ("_deflate", "size")

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(
            LEVEL, zlib.DEFLATED, WINDOW_BITS + _GZIP_FORMAT, MEMORY_LEVEL
        )
        self.size = 0

    def feed(self, parts: Iterable[bytes]) -> bytes:
        """Return bytes from which a client has all of `parts` at once."""
        coded = [self._deflate.compress(part) for part in parts]
        coded.append(self._deflate.flush(zlib.Z_SYNC_FLUSH))
        return self._count(b"".join(coded))

    def finish(self) -> bytes:
        """Return the trailer: to the client it says that the body is whole."""
        return self._count(self._deflate.flush())

    def _count(self, coded: bytes) -> bytes:
        self.size += len(coded)
        return coded


def negotiate(
    request: ClientRequest, status: int, headers: HeaderList, length: int | None
) -> tuple[HeaderList, Gzip | None]:
    """Decide about one response.

    Args:
        request: what it answers.
        status: of the response.
        headers: of the response, as the function means them.
        length: of the body in bytes, if it is known.

    Returns:
        The headers as they become, and what the body has to go through; None for nothing.
    """
    if status == 304:
        return _not_modified(request, headers), None
    if not _worth_it(status, headers, length):
        return headers, None
    headers = _with_vary(headers)
    # Without chunks, a body of known length that is compressed would have no end of its own.
    if request.version < (1, 1) or not accepts_gzip(request.headers.getall("accept-encoding", ())):
        return headers, None
    kept = tuple(pair for pair in headers if pair[0] not in _NO_LONGER_TRUE)
    return (*_with_weak_etag(kept), (b"content-encoding", b"gzip")), Gzip()


def accepts_gzip(values: Iterable[str]) -> bool:
    """Tell whether a client wants gzip rather than nothing (RFC 9110 section 12.5.3).

    Args:
        values: of its Accept-Encoding headers. None at all is taken for a client that decodes nothing.
    """
    weights: dict[str, float] = {}
    for item in ",".join(values).split(","):
        coding, _, weight = item.partition(";")
        name = coding.strip().lower().removeprefix("x-")  # x-gzip is gzip (section 8.4.1.3)
        weights.setdefault(name, _weight(weight))
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


def _weight(parameters: str) -> float:
    """Return a q-value; one that nobody can read is none at all."""
    if not parameters.strip():
        return 1.0
    found = _WEIGHT.fullmatch(parameters.strip())
    return float(found[1]) if found else 0.0


def _worth_it(status: int, headers: HeaderList, length: int | None) -> bool:
    if status in _BODILESS_OR_PART or (length is not None and length < COMPRESS_MIN):
        return False
    kinds = [value for name, value in headers if name == b"content-type"]
    if len(kinds) != 1 or not _COMPRESSIBLE.fullmatch(kinds[0].partition(b";")[0].strip().lower()):
        return False
    return not any(
        name in _ABOUT_BYTES or (name == b"cache-control" and b"no-transform" in value.lower())
        for name, value in headers
    )


def _with_vary(headers: HeaderList) -> HeaderList:
    """Let caches know that another client gets another answer (RFC 9110 section 12.5.5)."""
    named = b",".join(value for name, value in headers if name == b"vary").lower()
    if {b"*", b"accept-encoding"} & {field.strip() for field in named.split(b",")}:
        return headers
    return (*headers, (b"vary", b"Accept-Encoding"))


def _with_weak_etag(headers: HeaderList) -> HeaderList:
    """A strong one would name the bytes that the function sent (RFC 9110 section 8.8.1)."""
    return tuple(
        (name, b"W/" + value) if name == b"etag" and value.startswith(b'"') else (name, value)
        for name, value in headers
    )


def _not_modified(request: ClientRequest, headers: HeaderList) -> HeaderList:
    """A 304 names what the client holds as that was named to it (RFC 9110 section 15.4.5)."""
    held = ",".join(request.headers.getall("if-none-match", ())).encode("utf-8", "surrogateescape")
    if any(name == b"etag" and b"W/" + value in held for name, value in headers):
        headers = _with_weak_etag(headers)
    return _with_vary(headers)
