"""Reads off a proxied connection who attached on it, and whether and when it was told ATTACHED.

Only the first frame of each direction is looked at: what a function says first on a new connection.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from protocol.codec import decode
from protocol.frames import Attach, Attached

if TYPE_CHECKING:
    from tests.faults.link import Link
    from tests.faults.pipe import Pipe
    from tests.faults.proxy import Proxy
    from tests.soak.report import Report

MASKED, LENGTH = 0x80, 0x7F
EXTENDED = {126: 2, 127: 8}
"""Length codes of RFC 6455, 5.2, and how many bytes of length follow."""

FOR_EVER = 86_400.0
"""Seconds: the watch is ended from outside."""


def first_message(pipe: Pipe) -> bytes | None:
    """The first WebSocket message behind the upgrade; None while it is not all here."""
    start = pipe.upgrade
    data = b"" if start is None else bytes(pipe.record[start : start + 4096])
    if len(data) < 2:
        return None
    size, at = data[1] & LENGTH, 2
    if size in EXTENDED:
        at += EXTENDED[size]
        size = int.from_bytes(data[2:at], "big")
    key = b""
    if data[1] & MASKED:
        key, at = data[at : at + 4], at + 4
    payload = data[at : at + size]
    if len(payload) < size:
        return None
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload)) if key else payload


def attach_of(link: Link) -> Attach | None:
    """What the function attached to with its first frame."""
    frame = _first(link.up)
    return frame if isinstance(frame, Attach) else None


def is_attached(link: Link) -> bool:
    """Whether the gateway's first frame was ATTACHED."""
    return isinstance(_first(link.down), Attached)


def _first(pipe: Pipe) -> object:
    message = first_message(pipe)
    return None if message is None else decode(message)


class ResumeWatch:
    """Counts functions that attach again, and how long after a cut.

    The proxy's own loop runs it.

    Attributes:
        attached_at: when (monotonic) a function was attached again, in order.
    """

    def __init__(self, proxy: Proxy, report: Report) -> None:
        self._proxy = proxy
        self._report = report
        self.attached_at: list[float] = []
        self._cuts: dict[bytes, float] = {}
        self._seen = 0
        self._waiting: list[Link] = []
        self._known: list[Link] = []

    def cut(self, exchange: str) -> None:
        """The connection in use of this exchange has just been cut."""
        self._cuts.setdefault(bytes.fromhex(exchange), monotonic())

    def forget(self, exchange: str) -> None:
        """Its function cannot come back for now, whatever it wants."""
        self._cuts.pop(bytes.fromhex(exchange), None)

    async def keep_watching(self) -> None:
        """Look at every new connection until cancelled."""
        while True:
            await self._proxy.until(self._news, FOR_EVER)
            now = monotonic()
            self._waiting += self._proxy.connections[self._seen :]
            self._seen = len(self._proxy.connections)
            for link in [link for link in self._waiting if _decided(link)]:
                self._waiting.remove(link)
                self._known.append(link)
                self._look(link, now)
            self._forget_gone()

    def _news(self) -> bool:
        return len(self._proxy.connections) > self._seen or any(map(_decided, self._waiting))

    def _forget_gone(self) -> None:
        """Thousands of connections come and go: what the proxy keeps of them would add up."""
        gone = [link for link in self._known if link.closed]
        for link in gone:
            self._known.remove(link)
            link.up.record.clear()
            link.down.record.clear()

    def _look(self, link: Link, now: float) -> None:
        attach = attach_of(link)
        if attach is None or attach.epoch == 1 or not is_attached(link):
            return
        self._report.resumes += 1
        self.attached_at.append(now)
        cut = self._cuts.pop(attach.xid, None)
        if cut is not None:
            self._report.resume_seconds.append(now - cut)


def _decided(link: Link) -> bool:
    """Whether the gateway has answered the first frame, or never will."""
    return link.closed or first_message(link.down) is not None
