"""What a log record carries beside its message."""

from __future__ import annotations

import logging
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was handed over as ``extra``, in its order."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}
