"""Writes lines from a thread of its own: whoever logs never waits for whoever reads.

A pipe that nobody empties holds 64 KiB, and then stops its writer. That must not be the event loop, for all
streams would stop with it. What the thread cannot write waits here, up to a limit; beyond, lines are
dropped and counted, and once there is room again a line says how many.
"""

from __future__ import annotations

import atexit
import threading
from functools import lru_cache
from typing import TextIO

WAITING_MAX = 4 * 1024 * 1024
"""Characters that wait: a burst of ten thousand access lines. As many again may be half-written."""

GATHER_SECONDS = 0.05
"""How long the first line waits for others. Written one by one, each would cost a switch to the thread and
a system call, several times what the line itself does."""

FLUSH_SECONDS = 1.0
"""How long the end of the process waits for a reader."""


class LineWriter:
    """Takes lines from any thread, and writes them in order.

    Args:
        stream: where to.
        limit: characters that may wait.

    Attributes:
        stream: the same.
        dropped: lines lost so far.
    """

    def __init__(self, stream: TextIO, limit: int = WAITING_MAX) -> None:
        self.stream = stream
        self.dropped = 0
        self._limit = limit
        self._lines: list[str] = []
        self._held = 0
        self._told = 0  # of the dropped, those that a line has told of
        self._hurry = False
        self._writing = False
        self._closed = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def put(self, line: str, *, urgent: bool = False) -> None:
        """Have a line written soon, or at once if `urgent`; it is dropped if too much waits."""
        with self._lock:  # the condition's own `with` is Python, and costs as much as the rest
            if self._held + len(line) > self._limit or self._closed:
                self.dropped += 1
                return
            self._lines.append(line)
            self._held += len(line)
            if urgent:
                self._hurry = True
            if urgent or len(self._lines) == 1:
                self._wake()

    def flush(self) -> None:
        """Wait until everything is written, `FLUSH_SECONDS` at most."""
        with self._changed:
            self._hurry = True
            self._wake()
            self._changed.wait_for(lambda: not self._lines and not self._writing, FLUSH_SECONDS)

    def close(self) -> None:
        """Write what waits, if somebody takes it, and no more."""
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        atexit.unregister(self.close)

    def _wake(self) -> None:
        if self._thread is None and self._lines:
            # A daemon: one that is stuck in a pipe must not keep the process from ending.
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closed)
                if not self._lines:
                    return
                self._changed.wait_for(lambda: self._hurry or self._closed, GATHER_SECONDS)
                lines, self._lines = self._lines, []
                count = len(lines)
                if self.dropped > self._told:
                    lines.append(f"({self.dropped - self._told} log lines were lost)\n")
                    self._told = self.dropped
                self._held, self._hurry, self._writing = 0, False, True
            written = self._write("".join(lines))
            with self._changed:
                self.dropped += 0 if written else count
                self._writing = False
                self._changed.notify_all()

    def _write(self, text: str) -> bool:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the reader has gone, the disk is full, the stream is closed
            return False
        return True


@lru_cache(maxsize=2)
def writer_of(stream: TextIO) -> LineWriter:
    """Return the one writer of a stream: lines of several sources never cut each other."""
    return LineWriter(stream)
