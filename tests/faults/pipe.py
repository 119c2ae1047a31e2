"""One direction of a connection through the proxy: a receiver, a short queue, a sender."""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import struct
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 64 * 1024
"""Bytes read at a time."""

QUEUE = 4
"""Chunks on their way: with the kernel's own buffers all that a proxy adds to a window."""

TICK = 0.02
"""A throttled direction moves a portion every so many seconds."""

ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER that makes `close` an RST."""

SIOCOUTQNSD = 0x894B  # <linux/sockios.h>: bytes of a socket that were not sent yet
UNSENT_POLL = 0.001
"""Seconds: the kernel tells nobody when a queue has run empty."""

HEADER_END = b"\r\n\r\n"
RECORDED = 64 * 1024
"""Bytes from the start of each direction that are kept for tests to look at."""


class Pipe:
    """Forwards what comes from one socket to another.

    Attributes:
        received: bytes read.
        sent: bytes passed on.
        swallowed: bytes read and thrown away.
        record: the first bytes passed on or held.
        delay: seconds that each chunk stays here.
        rate: bytes per second that may pass.
    """

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        *,
        changed: Callable[[], None],
        broken: Callable[[], None],
    ) -> None:
        """Take the sockets; `changed` hears of every move, `broken` of a side that is gone."""
        self._source, self._target = source, target
        self._changed, self._broken = changed, broken
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUE)
        self._moving = asyncio.Event()
        self._moving.set()
        self._may_end = asyncio.Event()
        self._may_end.set()
        self._swallowing = False
        self._finished = False
        self._flipping = False
        self._points: list[tuple[int, Callable[[], None]]] = []
        self._after_upgrade: list[tuple[int, Callable[[], None]]] = []
        self.received = self.sent = self.swallowed = 0
        self.record = bytearray()
        self.delay = 0.0
        self.rate = inf

    @property
    def upgrade(self) -> int | None:
        """Bytes up to the end of the HTTP head; None before it is known."""
        found = self.record.find(HEADER_END)
        return None if found < 0 else found + len(HEADER_END)

    def plan(self, offset: int, strike: Callable[[], None], *, upgraded: bool) -> None:
        """Strike once `offset` bytes have gone on (after the upgrade)."""
        (self._after_upgrade if upgraded else self._points).append((offset, strike))
        self._points.sort(key=lambda point: point[0])

    def pause(self) -> None:
        """Stand still."""
        self._moving.clear()

    def resume(self) -> None:
        """Go on."""
        self._moving.set()

    def hold_end(self, *, held: bool = True) -> None:
        """Keep the source's FIN back, behind all that came before it; or let it through."""
        if held:
            self._may_end.clear()
        else:
            self._may_end.set()

    def swallow(self) -> None:
        """Lead nowhere from now on; a FIN goes the same way."""
        self._swallowing = True
        self._moving.set()

    def flip(self) -> None:
        """Damage the next byte."""
        self._flipping = True

    def finish(self) -> None:
        """Let the target see FIN now; what still comes is thrown away."""
        self._finished = True
        self.swallow()
        with suppress(OSError):  # the target may be gone already
            self._target.shutdown(socket.SHUT_WR)

    # ------------------------------------------------------------ tasks

    async def receive(self) -> None:
        """Read until the source ends or breaks; then tell the sender by an empty chunk."""
        data = b" "
        while data:
            try:
                data = await self._loop.sock_recv(self._source, CHUNK)
            except OSError:
                self._break()
                return
            self.received += len(data)
            self._note(data)
            self._changed()
            await self._queue.put((self._loop.time() + self.delay, data))

    async def send(self) -> None:
        """Pass on what was read, in time and up to the next point."""
        try:
            while True:
                due, data = await self._queue.get()
                await self._pass_at(due)
                if not data:
                    await self._moving.wait()
                    await self._may_end.wait()
                    break
                await self._pass(data)
            if not self._swallowing:
                with suppress(OSError):
                    self._target.shutdown(socket.SHUT_WR)
            elif not self._finished:
                await asyncio.Event().wait()  # half open: nobody learns of the end
        except OSError:
            self._break()

    def _break(self) -> None:
        """One side is gone with an error: so is the other, unless nobody is to learn of it."""
        if not self._swallowing:
            self._broken()

    async def _pass_at(self, due: float) -> None:
        wait = due - self._loop.time()
        if wait > 0:
            await asyncio.sleep(wait)

    async def _pass(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            await self._moving.wait()
            if self._swallowing:
                self.swallowed += len(rest)
                self._changed()
                return
            portion = rest[: self._portion()]
            if portion:
                await self._loop.sock_sendall(self._target, self._damaged(portion))
                self.sent += len(portion)
                rest = rest[len(portion) :]
            await self._reach()
            self._changed()
            if self.rate is not inf and portion:
                await asyncio.sleep(len(portion) / self.rate)

    def _damaged(self, portion: memoryview) -> bytes | memoryview:
        if not self._flipping:
            return portion
        self._flipping = False
        return bytes([portion[0] ^ 1]) + portion[1:]

    def _portion(self) -> int:
        """How many bytes may go on before something is to happen."""
        room = CHUNK if self.rate is inf else max(1, int(self.rate * TICK))
        return min(room, self._points[0][0] - self.sent) if self._points else room

    async def _reach(self) -> None:
        """Strike what stands at this very byte, once all before it has left this machine's queue."""
        while self._points and self._points[0][0] <= self.sent:
            _, strike = self._points.pop(0)
            while _unsent(self._target):
                await asyncio.sleep(UNSENT_POLL)
            strike()

    def _note(self, data: bytes) -> None:
        if len(self.record) >= RECORDED:
            return
        self.record += data[: RECORDED - len(self.record)]
        if self._after_upgrade and (start := self.upgrade) is not None:
            self._points += [(start + offset, strike) for offset, strike in self._after_upgrade]
            self._points.sort(key=lambda point: point[0])
            self._after_upgrade.clear()


def _unsent(target: socket.socket) -> int:
    count = array.array("i", [0])
    try:
        fcntl.ioctl(target.fileno(), SIOCOUTQNSD, count)
    except OSError:  # gone: nothing will leave any more
        return 0
    return count[0]
