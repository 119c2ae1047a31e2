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


class Forwarder:
    """Carries one response body; made when its head has been started.

    Args:
        journal: where the bytes come from.
        sink: where they go.
        write_stall: seconds that the client may take nothing.
        on_written: called with the number of bytes of each write.
        on_flushed: called once, when the body ended and the transport took its last byte.
        on_stalled: called when the client took nothing for `write_stall` seconds.
    """

    def __init__(
        self,
        journal: MemoryJournal,
        sink: ResponseSink,
        *,
        write_stall: float,
        on_written: Callable[[int], None],
        on_flushed: Callable[[], None],
        on_stalled: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._sink = sink
        self._write_stall = write_stall
        self._on_written = on_written
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
        else:
            self._end_if_exhausted()

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
        self._sink.write(parts, last=self._journal.exhausted)
        self._on_written(size)
        if self._sink.blocked:
            self._waiting = asyncio.create_task(self._wait(size))
        else:
            self._taken(size)

    def _taken(self, size: int) -> None:
        self._journal.taken(size)
        self._end_if_exhausted()

    def _end_if_exhausted(self) -> None:
        if self._journal.exhausted:
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
        self._taken(size)
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
