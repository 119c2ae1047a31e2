"""Accepts connections: some in each turn of the event loop, and none while descriptors are short.

Event loops do neither. asyncio accepts a whole backlog in one turn, and in want of descriptors calls its
exception handler a thousand times a second; libuv silently closes whatever waits.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from typing import TYPE_CHECKING

from gateway import descriptors

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

log = logging.getLogger("dialback.server")

ACCEPTS_PER_TURN = 16
"""Accepting and parsing the first request takes some 0.2 ms: a fleet that comes back at once delays
those who are being served by a few milliseconds a turn, and waits in the kernel meanwhile."""

SPARE_SHARE, SPARE_MAX = 8, 64
"""An eighth of the descriptors, 64 at most, are kept for what is not accepted: functions, files, pipes."""

PAUSE_SECONDS = 0.1
"""How long accepting pauses before it looks for descriptors again; those shed are free by then."""

SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Hands every connection of a listening socket to a protocol.

    Args:
        name: of the listener, for the log.
        listening: the socket; closed with the listener.
        factory: makes the protocol of a connection.
        on_scarce: called when descriptors are short, every `PAUSE_SECONDS` while they are.
    """

    def __init__(
        self,
        name: str,
        listening: socket.socket,
        factory: Callable[[], asyncio.BaseProtocol],
        on_scarce: Callable[[], None],
    ) -> None:
        self._name = name
        self._socket = listening
        self._factory = factory
        self._on_scarce = on_scarce
        self._loop = asyncio.get_running_loop()
        self._accepting: set[asyncio.Task[None]] = set()
        self._paused: asyncio.TimerHandle | None = None
        limit = descriptors.limit()
        self._last = limit - min(SPARE_MAX, limit // SPARE_SHARE)
        listening.settimeout(0)
        self._loop.add_reader(listening, self._ready)

    def close(self) -> None:
        """Accept no more; connections that are open go on."""
        if self._paused is not None:
            self._paused.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _ready(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in SCARCE:
                    raise
                self._pause(str(error))
                return
            task = self._loop.create_task(self._open(accepted))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)
            # The lowest free number is what accept returns: this one tells how many are left.
            if accepted.fileno() >= self._last:
                self._pause(f"descriptor {accepted.fileno()} is in use")
                return

    async def _open(self, accepted: socket.socket) -> None:
        accepted.settimeout(0)
        try:
            await self._loop.connect_accepted_socket(self._factory, accepted)
        except OSError as error:
            log.debug("%s listener: a connection was lost at once: %s", self._name, error)
            accepted.close()

    # ------------------------------------------------------------ want of descriptors

    def _pause(self, reason: str) -> None:
        log.warning("%s listener pauses: descriptors are short (%s)", self._name, reason)
        self._loop.remove_reader(self._socket)
        self._wait()

    def _wait(self) -> None:
        self._on_scarce()
        self._paused = self._loop.call_later(PAUSE_SECONDS, self._look)

    def _look(self) -> None:
        if self._has_spare():
            self._paused = None
            self._loop.add_reader(self._socket, self._ready)
        else:
            self._wait()

    def _has_spare(self) -> bool:
        try:
            probe = os.dup(self._socket.fileno())
        except OSError:
            return False
        os.close(probe)
        return probe < self._last
