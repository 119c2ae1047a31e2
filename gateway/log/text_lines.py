"""One line for a person."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from typing_extensions import override

from gateway.log.facts import facts

ROOM_PREFIX = "dialback."
ACCESS = "dialback.access"
"""Whose lines are set in columns."""

IN_COLUMNS = frozenset({"status", "outcome", "ms", "bytes", "method", "path"})
USUAL = frozenset({None, "", 0, 1})
"""Values that tell a person nothing: no resume, no note, one call."""

_RESET, _DIM = "\x1b[0m", "\x1b[2m"
_COLOURS = {"debug": _DIM, "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_OUTCOMES = {
    "completed": "\x1b[32m",
    "failed": "\x1b[31m",
    "cancelled": "\x1b[33m",
    "refused": "\x1b[33m",
}
_STEP, _UNITS = 1000, ("kB", "MB", "GB")


class TextFormatter(logging.Formatter):
    """Clock, level, room, message, facts; then a traceback, if any. Exchanges have columns instead.

    Args:
        coloured: whether a terminal shows it.
    """

    def __init__(self, *, coloured: bool = False) -> None:
        super().__init__()
        self._coloured = coloured

    @override
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = self._exchange(record) if record.name == ACCESS else self._ordinary(record)
        line = f"{self._in(_DIM, clock)} {line}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line

    def _ordinary(self, record: logging.LogRecord) -> str:
        room = record.name.removeprefix(ROOM_PREFIX)
        level = record.levelname.lower()
        shown = self._in(_COLOURS.get(level, ""), f"{level:<7}")
        return f"{shown} {room}: {_plain(record.getMessage())}{self._rest(facts(record))}"

    def _exchange(self, record: logging.LogRecord) -> str:
        told = facts(record)
        outcome = str(told.get("outcome", ""))
        columns = (
            f"{told.get('status') or '-':>3}",
            self._in(_OUTCOMES.get(outcome, ""), f"{outcome:<9}"),
            f"{told.get('ms') or 0:>9,.1f} ms",
            f"{_size(told.get('bytes') or 0):>9}",
            _plain(record.getMessage()),
        )
        others = {
            key: value
            for key, value in told.items()
            if key not in IN_COLUMNS and (isinstance(value, (list, dict)) or value not in USUAL)
        }
        return "  ".join(columns) + self._rest(others)

    def _rest(self, told: dict[str, Any]) -> str:
        return "".join(
            f" {self._in(_DIM, f'{key}=')}{_plain(str(value))}" for key, value in told.items()
        )

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._coloured and colour else text


def _size(count: float) -> str:
    if count < _STEP:
        return f"{count:.0f} B"
    power = min(int(math.log(count, _STEP)), len(_UNITS))
    return f"{count / _STEP**power:,.1f} {_UNITS[power - 1]}"


def _plain(text: str) -> str:
    """Keep a line one line, whatever a client put into its path (log injection, CWE-117)."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
