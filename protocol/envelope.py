"""The envelope: what the gateway tells the function about the callback, as JSON.

It rides beside the event: in the Invoke API's ClientContext as ``{"custom": {"dialback": {...}}}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from protocol.errors import RemoteProtocolError
from protocol.limits import (
    MAX_INT,
    MAX_MAX_FRAME,
    MAX_PROBE_MS,
    MAX_TOKEN,
    MAX_URL,
    MAX_URLS,
    MIN_MAX_FRAME,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The key under which envelope and receipt stand.
KEY = "dialback"
VERSION = 1

#: What is new in every envelope is checked without regular expressions: each of their matches allocates a KiB.
_HEX = "0123456789abcdef"
#: As a token it goes into the head of an HTTP request, where nothing else than visible ASCII may stand.
_URL = re.compile(r"wss?://[!-~]+")
#: A later major version means something else by the other keys.
V = range(VERSION, VERSION + 1)
_NUMBERS = {
    "v": V,
    "inv": range(1, MAX_INT + 1),
    "window": range(1, MAX_INT + 1),
    "max_frame": range(MIN_MAX_FRAME, MAX_MAX_FRAME + 1),
}


@dataclass(slots=True)
class Envelope:
    """How, where and with which right to dial back; not changed once made (see `protocol.frames`).

    Attributes:
        xid: the exchange, 32 lower-case hexadecimal digits.
        inv: number of this invocation within the exchange, from 1.
        urls: callback base URLs (ws: or wss:), best first; the attach path is appended.
        token: the capability to attach; opaque.
        window: response bytes that may be sent before the first credit arrives.
        max_frame: largest DATA payload in bytes.
        body: where the request body is: in the event, or coming over the callback.
        body_length: its length in bytes when it is streamed and its length is known.
        probe_ms: this is no request: report how the callback URLs are reached (see `protocol.probe`),
            after so many milliseconds of silence on each connection; None for a request.
    """

    xid: str
    inv: int
    urls: tuple[str, ...]
    token: str = field(repr=False)
    window: int
    max_frame: int
    body: Literal["inline", "stream"] = "inline"
    body_length: int | None = None
    probe_ms: int | None = None

    @property
    def xid_bytes(self) -> bytes:
        """The exchange id as ATTACH carries it."""
        return bytes.fromhex(self.xid)

    def to_json(self) -> dict[str, object]:
        """Return the JSON object."""
        probe = {} if self.probe_ms is None else {"probe": self.probe_ms}
        return {
            "v": VERSION,
            "xid": self.xid,
            "inv": self.inv,
            "urls": list(self.urls),
            "token": self.token,
            "window": self.window,
            "max_frame": self.max_frame,
            "body": self.body,
            "body_length": self.body_length,
            **probe,
        }

    @classmethod
    def parse(cls, obj: object) -> Envelope:
        """Read the JSON object; unknown keys are ignored.

        Raises:
            RemoteProtocolError: a key is missing or its value is wrong; the text names it.
        """
        fields = JsonFields(obj, "envelope")
        said = fields.said
        _, inv, window, max_frame = fields.integers(_NUMBERS)
        body, length, probe = said.get("body"), said.get("body_length"), said.get("probe")
        if body not in ("inline", "stream"):
            raise fields.wrong("body", "'inline' or 'stream'")
        return cls(
            xid=fields.xid(),
            inv=inv,
            urls=_urls(fields),
            token=_token(fields),
            window=window,
            max_frame=max_frame,
            body=body,
            body_length=None if length is None else fields.integer("body_length"),
            probe_ms=None if probe is None else fields.integer("probe", 0, MAX_PROBE_MS),
        )


@lru_cache(MAX_URLS)  # a gateway's are always the same
def is_callback_url(url: str) -> bool:
    """Whether functions take this for a URL to dial."""
    return len(url) <= MAX_URL and _URL.fullmatch(url) is not None


def _urls(fields: JsonFields) -> tuple[str, ...]:
    urls = fields.said.get("urls")
    if not isinstance(urls, list) or not 1 <= len(urls) <= MAX_URLS:
        raise fields.wrong("urls", f"a list of 1 to {MAX_URLS} URLs")
    for url in urls:
        if not (isinstance(url, str) and is_callback_url(url)):
            raise fields.wrong("urls", f"ws: or wss: URLs of at most {MAX_URL} characters")
    return tuple(urls)


def _token(fields: JsonFields) -> str:
    token = fields.said.get("token")
    if (
        not isinstance(token, str)
        or not 1 <= len(token) <= MAX_TOKEN
        or not (token.isascii() and token.isprintable())
        or " " in token
    ):
        raise fields.wrong("token", f"1 to {MAX_TOKEN} visible ASCII characters")
    return token


class JsonFields:
    """Checked access to the keys of one JSON object; every error names the key.

    Attributes:
        said: the object itself.
    """

    def __init__(self, obj: object, what: str) -> None:
        self._what = what
        if not isinstance(obj, dict):
            raise RemoteProtocolError(f"{what} is not a JSON object")
        self.said: dict[str, Any] = obj

    def wrong(self, key: str, expected: str) -> RemoteProtocolError:
        """Return the error for a value; the value itself is not shown (it may be a secret)."""
        kind = type(self.said.get(key)).__name__
        return RemoteProtocolError(f"{self._what}.{key} must be {expected} (it is of type {kind})")

    def xid(self) -> str:
        """Return the exchange id."""
        xid = self.said.get("xid")
        if not isinstance(xid, str) or len(xid) != 32 or xid.strip(_HEX):
            raise self.wrong("xid", "32 lower-case hexadecimal digits")
        return xid

    def integers(self, ranges: Mapping[str, range]) -> list[int]:
        """Return whole numbers, each in its range."""
        values = []
        for key, numbers in ranges.items():
            value = self.said.get(key)
            if type(value) is not int or value not in numbers:
                raise self.wrong(key, f"an integer from {numbers[0]} to {numbers[-1]}")
            values.append(value)
        return values

    def integer(self, key: str, low: int = 0, high: int = MAX_INT) -> int:
        """Return a whole number in a range."""
        return self.integers({key: range(low, high + 1)})[0]

    def optional_integer(self, key: str, high: int = MAX_INT) -> int | None:
        """Return a number from 0, or None when it is null or missing."""
        return None if self.said.get(key) is None else self.integer(key, 0, high)

    def text(self, key: str, limit: int) -> str:
        """Return a string that is not empty."""
        value = self.said.get(key)
        if not isinstance(value, str) or not 1 <= len(value) <= limit:
            raise self.wrong(key, f"a string of 1 to {limit} characters")
        return value

    def optional_text(self, key: str, limit: int) -> str | None:
        """Return a string that is not empty, or None when it is null or missing."""
        return None if self.said.get(key) is None else self.text(key, limit)
