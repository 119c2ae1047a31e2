"""Compresses what comes in one large piece slice by slice, so that nobody else waits long for the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.edge.response import TELL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.edge.response import Sink
    from gateway.messages import Served
    from protocol.headers import HeaderList

SLICE = 32 * 1024
"""Bytes that are compressed in one turn of the event loop: half a millisecond for text, one for noise. A
window, or a whole answer, has up to 6 MiB."""


class SlicingSink:
    """The sink of a route that compresses, as `gateway.messages.ResponseSink`.

    What a slice leaves over waits here; so long the sink is `blocked`, and nothing of it is taken.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: deque[bytes] = deque()

    @property
    def exchange(self) -> Served | None:
        """Whom the access line is about."""
        return self._sink.exchange

    @exchange.setter
    def exchange(self, exchange: Served | None) -> None:
        self._sink.exchange = exchange

    def begin(self, status: int, headers: HeaderList, *, length: int | None) -> None:
        """Send the response head."""
        self._sink.begin(status, headers, length=length)

    def write(self, parts: Sequence[bytes], *, last: bool = False) -> None:
        """Hand body bytes on, or the first slice of them."""
        if self._sink.compressed is None or sum(map(len, parts)) <= SLICE:
            self._sink.write(parts, last=last)
            return
        whole = b"".join(parts)
        self._waiting.extend(whole[at : at + SLICE] for at in range(0, len(whole), SLICE))
        self._write_slice()

    @property
    def blocked(self) -> bool:
        """Whether slices wait, or the transport holds enough."""
        return bool(self._waiting) or self._sink.blocked

    @property
    def pending(self) -> int:
        """Bytes that wait here or in the transport."""
        return sum(map(len, self._waiting)) + self._sink.pending

    @property
    def deserted(self) -> bool:
        """Whether the client left before an end."""
        return self._sink.deserted

    async def drained(self) -> bool:
        """Write slice after slice as the transport takes them; False if the client left."""
        while self._waiting:
            await asyncio.sleep(0)  # the others' turn
            if not await self._sink.drained():
                return False
            self._write_slice()
        return await self._sink.drained()

    def end(self) -> bool:
        """End the body cleanly, unless a part of it was never written."""
        if self._waiting:
            self._sink.abort()
        return self._sink.end()

    def abort(self) -> None:
        """End the connection at once, visibly broken."""
        self._sink.abort()

    async def break_off(self, public: str) -> None:
        """End visibly broken, behind what came before if the client takes that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TELL_SECONDS):
                await self.drained()
        await self._sink.break_off(public)

    def _write_slice(self) -> None:
        self._sink.write((self._waiting.popleft(),))
