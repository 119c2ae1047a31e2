"""What functions print, line by line, with the invocation it belongs to."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from typing import TYPE_CHECKING, Final, Protocol

from gateway.invoke.local.limits import LOG_LINE_MAX
from gateway.log import writer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.log import LineWriter


class LogCallback(Protocol):
    """Takes what functions and the emulated Lambda say of them."""

    def __call__(self, function: str, request_id: str, /, *lines: str) -> None:
        """Take lines without their ends; `request_id` is empty outside invocations."""
        ...


# awslambdaric joins the lines of a traceback by CR and indents them by no-break spaces, so that
# CloudWatch keeps them together; people want to read them.
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_READ: Final = 64 * 1024
# A pipe holds 64 KiB by default: that many reads empty what stood in it, whoever keeps writing.
_READS_AT_MOST: Final = 2


class LogPipe:
    """The pipe that a worker's stdout and stderr write to.

    It is always read, whether anyone wants the lines or not: a full pipe would block the function.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._pending = b""
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._open = True
        asyncio.get_running_loop().add_reader(self._read_end, self.drain)

    def drain(self) -> None:
        """Hand on what was written before this moment."""
        for _ in range(_READS_AT_MOST):
            if not self._open:
                return
            try:
                data = os.read(self._read_end, _READ)
            except BlockingIOError:
                return
            if data:
                self._split(data)
            else:
                self._stop_reading()

    def flush(self) -> None:
        """Hand on what was written before this moment, the last line with or without its end."""
        self.drain()
        if self._pending:
            pending, self._pending = self._pending, b""
            self._emit(pending)

    def close_write_end(self) -> None:
        """Close our copy of the writing end, once the worker has its own."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def close(self) -> None:
        """Hand on the rest, with or without a line end, and close the pipe."""
        self.close_write_end()
        self.flush()
        if self._open:
            self._stop_reading()

    def _stop_reading(self) -> None:
        self._open = False
        asyncio.get_running_loop().remove_reader(self._read_end)
        os.close(self._read_end)

    def _split(self, data: bytes) -> None:
        *lines, rest = _LINE_END.split(self._pending + data)
        for line in lines:
            self._emit(line)
        while len(rest) > LOG_LINE_MAX:
            self._emit(rest[:LOG_LINE_MAX])
            rest = rest[LOG_LINE_MAX:]
        self._pending = rest

    def _emit(self, line: bytes) -> None:
        for start in range(0, len(line) or 1, LOG_LINE_MAX):
            piece = line[start : start + LOG_LINE_MAX]
            text = piece.decode("utf-8", "replace")
            self._on_line(text.replace("\u00a0", " ") if text.startswith("\u00a0") else text)


class StderrLog:
    """The default `LogCallback`: lines on stderr, prefixed by the request id's start.

    Args:
        writer: what writes them; absent: this process's own stderr, where the gateway's lines go, too.
    """

    def __init__(self, writer: LineWriter | None = None) -> None:
        self._writer = writer or writer_of(sys.stderr)

    def __call__(self, function: str, request_id: str, *lines: str) -> None:
        """Print lines of a function; it waits for nobody."""
        start = f"{function} {request_id[:8] or 'init':8} | "
        self._writer.put(start + f"\n{start}".join(lines) + "\n")
