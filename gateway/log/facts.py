"""What a log record carries beside its message."""

from __future__ import annotations

import logging
from typing import Any

FACTS = "facts"
"""Attribute of a record that names its facts: whoever sets it saves the search for them."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", FACTS}


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was handed over as ``extra``, in its order."""
    attributes = vars(record)
    found: dict[str, Any] | None = attributes.get(FACTS)
    if found is not None:
        return found
    return {key: value for key, value in attributes.items() if key not in _STANDARD}
