"""Which address to try next, after which pause, and when to come back no more. Pure: no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambda_client import chance
from protocol.errors import CloseCode

if TYPE_CHECKING:
    from lambda_client.timing import Timing

_BROKEN_RULES = frozenset({1002, 1003, 1007, 1009, CloseCode.PROTOCOL, CloseCode.FRAME_TOO_LARGE})
"""One side says that the other broke a rule: that may be one bad frame, or every one to come."""

MAX_BROKEN_RULES = 3
"""Connections of one exchange that may end so, and be replaced (protocol SPEC, errors)."""

MAX_HOPS = 4
"""Gateways that may point to each other before the addresses of the envelope are tried again."""


def comes_back(code: int | None) -> bool:
    """Tell whether a connection that was closed with `code` may be replaced the same way.

    Args:
        code: of the WebSocket; None when it broke without one.
    """
    return code is None or not 4400 <= code < 4500 or code in _BROKEN_RULES


class Route:
    """The way of one exchange to its gateway, however often it is lost."""

    def __init__(self, urls: tuple[str, ...], timing: Timing) -> None:
        self._urls = urls
        self._timing = timing
        self._next = 0  # of the addresses' order
        self._refused: set[str] = set()
        self._redirect: str | None = None
        self._hops = 0
        self._tries = 0
        self._broken_rules = 0
        self._hold = 0.0

    # ------------------------------------------------------------ the next attempt

    def next_url(self) -> str | None:
        """Return the address to try now; None when every one refused for good."""
        self._tries += 1
        self._hold = 0.0
        redirect, self._redirect = self._redirect, None
        if redirect is not None:
            return redirect
        if not self.open:
            return None
        order = (
            self._urls[0],
            *self._urls,
        )  # the first one twice, then each of the others, and again
        while True:
            url = order[self._next % len(order)]
            self._next += 1
            if url not in self._refused:
                return url

    @property
    def open(self) -> bool:
        """Whether an address is left that did not refuse for good."""
        return self._redirect is not None or not self._refused.issuperset(self._urls)

    def pause(self) -> float:
        """Return the seconds to wait before the next attempt: none before the first."""
        if self._redirect is not None:
            return 0.0
        if not self._tries:
            return self._hold
        longest = self._timing.backoff_first * 2 ** min(self._tries - 1, 16)
        return self._hold + chance.up_to(min(self._timing.backoff_max, longest))

    # ------------------------------------------------------------ what became of the last one

    def refuse(self, url: str) -> None:
        """Note that the same question would get the same answer at this address."""
        self._refused.add(url)

    def hold(self, seconds: float) -> None:
        """Heed a gateway that asks to wait."""
        self._hold = max(0.0, min(seconds, self._timing.backoff_max))

    def redirect(self, url: str | None, origin: str) -> None:
        """Go where a gateway points to, unless that makes no sense.

        Args:
            url: a callback URL.
            origin: the address of the connection that named it. What came encrypted is not
                followed to where the token could be read on the way.
        """
        allowed = ("wss://",) if origin.startswith("wss://") else ("ws://", "wss://")
        if url is None or not url.startswith(allowed) or self._hops >= MAX_HOPS:
            return
        self._hops += 1
        self._redirect = url

    def attached(self, url: str) -> None:
        """Note where the stream runs now: that address is tried first when it is lost."""
        self._hops = 0
        self._redirect = None
        self._refused.clear()
        self._next = 0
        if url != self._urls[0]:
            self._urls = (url, *(other for other in self._urls if other != url))

    def progressed(self) -> None:
        """Note that the last connection was of use: the next one is tried without a pause."""
        self._tries = 0

    def lost(self, code: int | None) -> bool:
        """Note that a connection with the stream on it ended; tell whether to come back."""
        if code in _BROKEN_RULES:
            self._broken_rules += 1
        return comes_back(code) and self._broken_rules <= MAX_BROKEN_RULES
