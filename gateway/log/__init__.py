"""Logging: JSON lines for machines, one readable line for people, and nobody waits for either.

Every logger is named ``dialback.<room>``. Facts go into ``extra``: they become keys in JSON and
``key=value`` behind the message in text. Nobody hands this room a token, a query string or a body, unless
the setting ``log_query`` asks for queries.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from gateway.log.json_lines import JsonFormatter
from gateway.log.text_lines import TextFormatter
from gateway.log.writer import LineWriter, writer_of

if TYPE_CHECKING:
    from typing import TextIO

LogFormat = Literal["auto", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

ROOT = "dialback"

OTHERS = ("asyncio", "aiohttp")
"""Loggers of libraries whose warnings are about us. By default they would be written by whoever logs, who
is the event loop."""

__all__ = ["ROOT", "LineWriter", "LogFormat", "LogLevel", "set_up", "writer_of"]


class _Handler(logging.Handler):
    """Formats at once, since facts may change; writes later.

    It has no filters, and needs no lock: the formatters keep nothing that two threads could spoil.
    """

    def __init__(self, writer: LineWriter, formatter: logging.Formatter) -> None:
        super().__init__()
        self._writer = writer
        self._format = formatter.format

    @override
    def handle(self, record: logging.LogRecord) -> bool:
        try:
            line = self._format(record) + "\n"
        except Exception:  # noqa: BLE001 - as `logging` has it: a log line must not break what it tells of
            self.handleError(record)
            return True
        self._writer.put(line, urgent=record.levelno >= logging.WARNING)
        return True

    @override
    def flush(self) -> None:
        self._writer.flush()


def set_up(level: LogLevel, style: LogFormat, stream: TextIO) -> LineWriter:
    """Send what ``dialback.*`` logs to `stream`, what `OTHERS` warn of, and nothing else anywhere.

    Args:
        level: the least severe level to show.
        style: ``json``, ``text``, or ``auto``: text when `stream` is a terminal.
        stream: where lines go; the commands use stderr.

    Returns:
        What writes the lines; it knows how many were lost.
    """
    terminal = stream.isatty()
    as_text = style == "text" or (style == "auto" and terminal)
    writer = writer_of(stream)
    handler = _Handler(
        writer, TextFormatter(coloured=terminal and _wants_colour()) if as_text else JsonFormatter()
    )
    for name in (ROOT, *OTHERS):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level.upper() if name == ROOT else logging.WARNING)
        logger.propagate = False
    # Nobody shows these, and each record would pay for them (logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # transitions tells every step of every exchange at INFO.
    logging.getLogger("transitions").setLevel(logging.WARNING)
    return writer


def _wants_colour() -> bool:
    """https://no-color.org, and terminals that know no colours."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
