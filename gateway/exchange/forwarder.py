"""Moves body bytes from the journal to the client, with no task switch while the client keeps up.

Chunks that arrived together leave together: `readable` only schedules the move for the end of this
turn of the loop, by when the callback has appended all that its socket held. A task hop for each chunk
would double the p99 latency of fifty streams.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.journal.memory import MemoryJournal
    from gateway.messages import ResponseSink
    from gateway.telemetry.route import Traffic


class Forwarder:
    """Carries one response body; made when its head has been started.

    Args:
        journal: where the bytes come from.
        sink: where they go.
        exchange: counts what is written.
        write_stall: seconds that the client may take nothing.
        on_flushed: called once, when the body ended and the transport took its last byte.
        on_stalled: called when the client took nothing for `write_stall` seconds.
    """

    def __init__(
        self,
        journal: MemoryJournal,
        sink: ResponseSink,
        exchange: Traffic,
        *,
        write_stall: float,
        on_flushed: Callable[[], None],
        on_stalled: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._sink = sink
        self._exchange = exchange
        self._write_stall = write_stall
        self._on_flushed = on_flushed
        self._on_stalled = on_stalled
        self._scheduled = False
        self._waiting: asyncio.Task[None] | None = None
        self._open = True

    def readable(self) -> None:
        """The journal has something new: move it at the end of this turn of the loop."""
        if self._open and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def move(self) -> None:
        """Move what is there, now."""
        if not self._open or self._waiting is not None:
            return
        parts = self._journal.read_body()
        if parts:
            self._write(parts)
        elif self._journal.ended:
            self._end()

    def close(self) -> None:
        """Stop; nothing more is written."""
        self._open = False
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _turn(self) -> None:
        self._scheduled = False
        self.move()

    def _write(self, parts: list[bytes]) -> None:
        size = sum(map(len, parts))
        last = self._journal.ended
        self._sink.write(parts, last=last)
        self._exchange.body_bytes += size
        self._exchange.edge_writes += 1
        if self._sink.blocked:
            self._waiting = asyncio.create_task(self._wait(size))
            return
        self._journal.taken(size)
        if last:
            self._end()

    def _end(self) -> None:
        self._open = False
        self._on_flushed()

    async def _wait(self, size: int) -> None:
        try:
            if not await self._drained():
                return  # the client left: what it did not take is never acknowledged
        except TimeoutError:
            self._on_stalled()
            return
        self._waiting = None
        self._journal.taken(size)
        if self._journal.exhausted:
            self._end()
        else:
            self.readable()

    async def _drained(self) -> bool:
        """Wait for the sink; False if the client left.

        Raises:
            TimeoutError: the client took nothing at all for as long as it may.
        """
        while True:
            before = self._sink.pending
            try:
                async with asyncio.timeout(self._write_stall):
                    return await self._sink.drained()
            except TimeoutError:
                if self._sink.pending >= before:
                    raise
