"""Names the exchange and its trace in every line that this library logs.

An execution environment serves one invocation at a time, so what is current is current for all threads;
the I/O thread knows nothing of the caller's context. With Lambda's JSON logs the names are keys of the
line (`awslambdaric` makes keys of ``extra``); a text line has them at its end.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.envelope import Envelope

LOGGERS = ("dialback", "dialback.websocket")


class Names(logging.Filter):
    """Adds the names of the current invocation to records; lets all of them pass."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, str] = {}
        self._as_text = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() != "JSON"

    def begin(self, event: Any, envelope: Envelope | None) -> None:
        """An invocation begins; without an envelope no gateway knows of it."""
        if envelope is None:
            self._names = {}
            return
        headers = event.get("headers") if isinstance(event, dict) else None
        said = headers if isinstance(headers, dict) else {}
        names = {"exchange": envelope.xid}
        for name, header in (("trace", "x-amzn-trace-id"), ("traceparent", "traceparent")):
            if isinstance(value := said.get(header), str):
                names[name] = value
        self._names = names

    def filter(self, record: logging.LogRecord) -> bool:
        """Add them."""
        vars(record).update(self._names)
        if self._as_text and self._names:
            told = " ".join(f"{name}={value}" for name, value in self._names.items())
            # Header values come from the gateway's client: they are no format.
            record.msg = f"{record.msg} [{told.replace('%', '%%') if record.args else told}]"
        return True


NAMES = Names()
for _name in LOGGERS:
    logging.getLogger(_name).addFilter(NAMES)
