"""What a route does to requests and responses beside calling its function: headers, CORS, the door key.

Everything here is read once, from the configuration, and asked for each request without I/O.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from protocol.headers import HeaderList

CORS_MAX_AGE = 86_400
"""Seconds; what a Function URL takes at most (API reference, Cors: MaxAge)."""

_ALLOW_CREDENTIALS = (b"access-control-allow-credentials", b"true")
_CORS_HEADERS = frozenset(
    b"access-control-" + name
    for name in (
        b"allow-origin",
        b"allow-methods",
        b"allow-headers",
        b"allow-credentials",
        b"expose-headers",
        b"max-age",
    )
)


class Cors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which pages may call, as a Function URL has it: the ``cors`` table of a route.

    Preflights are answered here; on all other responses these headers stand in place of the
    function's own (Lambda developer guide, "Cross-origin resource sharing").

    Attributes:
        allow_origins: such as ``https://example.com``, or ``*``.
        allow_methods: or ``*``.
        allow_headers: that a page may send, or ``*``.
        expose_headers: that a page may read, or ``*``.
        max_age: seconds that a browser may keep the answer to a preflight.
        allow_credentials: whether cookies may come along.
    """

    allow_origins: tuple[str, ...]
    allow_methods: tuple[str, ...] = ("*",)
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Annotated[int, msgspec.Meta(ge=0, le=CORS_MAX_AGE)] = 0
    allow_credentials: bool = False

    def response_headers(self, origin: bytes | None) -> HeaderList:
        """Return what an ordinary response says to a page of this origin."""
        headers = self._allow_origin(origin)
        if self.expose_headers and origin is not None and self._allows(origin):
            headers += ((b"access-control-expose-headers", _listed(self.expose_headers)),)
        return headers

    def preflight_headers(self, origin: bytes, method: bytes, headers: bytes) -> HeaderList:
        """Return the answer to a preflight; nothing is allowed to an origin that is not listed.

        Args:
            origin: who asks.
            method: that it wants to use.
            headers: that it wants to send, as the browser listed them.
        """
        answer = self._allow_origin(origin)
        if not self._allows(origin):
            return answer
        answer += ((b"access-control-allow-methods", self._told(self.allow_methods, method)),)
        if self.allow_headers:
            answer += ((b"access-control-allow-headers", self._told(self.allow_headers, headers)),)
        return (*answer, (b"access-control-max-age", b"%d" % self.max_age))

    def _allows(self, origin: bytes) -> bool:
        return "*" in self.allow_origins or origin.decode("latin-1") in self.allow_origins

    def _allow_origin(self, origin: bytes | None) -> HeaderList:
        if "*" in self.allow_origins and not self.allow_credentials:
            return ((b"access-control-allow-origin", b"*"),)
        # The answer depends on who asks, and caches must know it (Fetch, "CORS protocol and HTTP caches").
        vary = ((b"vary", b"Origin"),)
        if origin is None or not self._allows(origin):
            return vary
        allowed = (b"access-control-allow-origin", origin)
        return (allowed, *((_ALLOW_CREDENTIALS,) if self.allow_credentials else ()), *vary)

    def _told(self, allowed: tuple[str, ...], wanted: bytes) -> bytes:
        """With credentials a browser takes ``*`` for a name, so it is told what it asked for."""
        return wanted if "*" in allowed and self.allow_credentials else _listed(allowed)


@dataclass(frozen=True, slots=True)
class HeaderEdit:
    """Headers that are taken away and put in.

    Attributes:
        removed: lower-case names.
        added: pairs that stand in place of any others of their names.
    """

    removed: frozenset[bytes] = frozenset()
    added: HeaderList = ()

    @classmethod
    def of(cls, added: Iterable[tuple[str, str]], removed: Collection[str]) -> HeaderEdit:
        """Make one from text."""
        pairs = tuple((name.lower().encode(), value.encode()) for name, value in added)
        names = {name.lower().encode() for name in removed}
        return cls(frozenset(names | {name for name, _ in pairs}), pairs)

    def apply(self, headers: HeaderList) -> HeaderList:
        """Return the headers as they become."""
        return (*(pair for pair in headers if pair[0] not in self.removed), *self.added)


@dataclass(frozen=True, slots=True)
class DoorKey:
    """A header that only the CDN in front of the gateway knows.

    Attributes:
        name: of the header, lower case.
        secret: its value.
    """

    name: bytes
    secret: bytes = field(repr=False)

    def opens(self, headers: HeaderList) -> bool:
        """Tell whether a request has it, in a time that says nothing about the secret."""
        values = [value for name, value in headers if name == self.name]
        return len(values) == 1 and hmac.compare_digest(values[0], self.secret)


@dataclass(frozen=True, slots=True)
class Rules:
    """All of one route.

    Attributes:
        key: without it a request is refused; the function never sees it.
        cors: None: the function deals with CORS itself.
        request: edits what the function is told.
        response: edits what the client gets.
    """

    key: DoorKey | None = None
    cors: Cors | None = None
    request: HeaderEdit | None = None
    response: HeaderEdit | None = None

    def on_response(self, headers: HeaderList, origin: bytes | None) -> HeaderList:
        """Return the headers of a response as the client gets them."""
        if self.cors is not None:
            headers = tuple(pair for pair in headers if pair[0] not in _CORS_HEADERS)
            headers += self.cors.response_headers(origin)
        return headers if self.response is None else self.response.apply(headers)


def _listed(names: tuple[str, ...]) -> bytes:
    return ", ".join(names).encode()
