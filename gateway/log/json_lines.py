"""One JSON object on one line."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import msgspec
from typing_extensions import override

from gateway.log.facts import facts

_encode = msgspec.json.Encoder(enc_hook=str).encode
_escaped = json.JSONEncoder(default=str, separators=(",", ":")).encode


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, then the facts as keys; ASCII, whatever a client sent."""

    def __init__(self) -> None:
        super().__init__()
        self._last = (-1, "")  # a second, and how it is shown: lines come from several threads

    @override
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": self._utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **facts(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        try:
            line = _encode(entry)
        except UnicodeEncodeError:  # bytes of a path that are no UTF-8
            return _escaped(entry)
        return line.decode() if line.isascii() else _escaped(entry)

    def _utc(self, seconds: float) -> str:
        second, shown = self._last
        if second != int(seconds):
            second = int(seconds)
            shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._last = second, shown
        return f"{shown}.{int(seconds % 1 * 1000):03d}Z"
