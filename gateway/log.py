"""Logging: JSON lines for machines, one readable line for people.

Every logger is named ``dialback.<room>``. Facts go into ``extra``: they become keys in JSON and
``key=value`` behind the message in text. Nobody hands this module a token, a query string or a body.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any, Literal, TextIO

from typing_extensions import override

LogFormat = Literal["auto", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

ROOT = "dialback"

_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object on one line: time, level, logger, message, then the extra facts."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _encode(entry)


class TextFormatter(logging.Formatter):
    """One line for a person: clock, level, room, message, facts; then a traceback, if any."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        room = record.name.removeprefix(f"{ROOT}.")
        facts = "".join(f" {key}={_plain(str(value))}" for key, value in _facts(record).items())
        level = record.levelname.lower()
        line = f"{clock} {level:<7} {room}: {_plain(record.getMessage())}{facts}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_up(level: LogLevel, style: LogFormat, stream: TextIO) -> None:
    """Send what ``dialback.*`` logs to `stream`, and nothing else anywhere.

    Args:
        level: the least severe level to show.
        style: ``json``, ``text``, or ``auto``: text when `stream` is a terminal.
        stream: where lines go; the commands use stderr.
    """
    as_text = style == "text" or (style == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    # Nobody shows these, and each record would pay for them (logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # transitions tells every step of every exchange at INFO.
    logging.getLogger("transitions").setLevel(logging.WARNING)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _utc(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


def _plain(text: str) -> str:
    """Keep a line one line, whatever a client put into its path (log injection, CWE-117)."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
