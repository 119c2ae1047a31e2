"""The access log: one line for each request, once everything about it is known.

What the client got is known when its response ends; the id under which Lambda ran the function, only when
the call returns, a moment later. The line waits so long for it.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from gateway.deadlines import Deadlines
from protocol.limits import shorten

if TYPE_CHECKING:
    from gateway.edge.response import Sink
    from gateway.errors import GatewayError
    from gateway.messages import EdgeRequest, Served

    Facts = dict[str, object]

log = logging.getLogger("dialback.access")

RETURN_SECONDS = 1.0
"""How long a line waits for the call to return. A function that stops when it is told to does so sooner."""

PATH_SHOWN = 1024
"""Characters of a path and its query. The rest of a longer one hardly tells anything, and would let
strangers fill the log."""

DRAINING = "draining"
"""The reason where the edge itself ended what was going on."""


class AccessLog:
    """Writes the line of every request.

    Args:
        query: whether query strings are shown; people put secrets there.
    """

    def __init__(self, *, query: bool = False) -> None:
        self._query = query
        self._waiting: dict[str, tuple[Facts, Served]] = {}
        self._patience = Deadlines(RETURN_SECONDS, self._returned)

    def refused(self, sink: Sink, error: GatewayError, request: EdgeRequest | None = None) -> None:
        """A request was answered before it belonged to a route; None if it could not even be read."""
        if not log.isEnabledFor(logging.INFO):
            return
        facts: Facts = {"exchange": sink.exchange_id, "route": None}
        if request is not None:
            facts |= self._request(request)
        facts |= {"outcome": "refused", "reason": error.reason, "note": shorten(str(error))}
        _write(facts | {"status": sink.status, "ms": 0.0, "bytes": sink.body_bytes})

    def preflight(self, sink: Sink, request: EdgeRequest) -> None:
        """A request was answered by its route's CORS rules."""
        if not log.isEnabledFor(logging.INFO):
            return
        facts: Facts = {"exchange": sink.exchange_id, "route": None, **self._request(request)}
        facts |= {"outcome": "refused", "reason": "preflight"}
        _write(facts | {"status": sink.status, "ms": 0.0, "bytes": sink.body_bytes})

    def served(
        self, sink: Sink, request: EdgeRequest, route: str, outcome: str, note: str, seconds: float
    ) -> None:
        """A request of a route is over; its line, if anybody reads it, follows now or in a moment.

        Args:
            sink: what its client got.
            request: it.
            route: its label.
            outcome: ``completed``, ``failed`` or ``cancelled``.
            note: why, if it failed.
            seconds: how long it took.
        """
        if not log.isEnabledFor(logging.WARNING if outcome == "failed" else logging.INFO):
            return
        facts: Facts = {
            "exchange": sink.exchange_id,
            "route": route,
            **self._request(request),
            "status": sink.status,
            "outcome": outcome,
            "ms": round(seconds * 1000, 1),
            "bytes": sink.body_bytes,
            "note": note and shorten(note),
        }
        if sink.compress and sink.compressed is not None:
            facts["compressed"] = sink.compressed
        exchange = sink.exchange
        if exchange is None:
            _write(facts)
        elif exchange.returned:
            _finish(facts, exchange)
        else:
            self._wait(sink.exchange_id, facts, exchange)

    def close(self) -> None:
        """Write the lines that still wait."""
        for exchange_id in list(self._waiting):
            self._returned(exchange_id)
        self._patience.close()

    def _request(self, request: EdgeRequest) -> Facts:
        path = request.path
        if self._query and request.query:
            path = f"{path}?{request.query}"
        trace = request.header(b"traceparent")
        return {
            "method": request.method,
            "path": path if len(path) <= PATH_SHOWN else path[:PATH_SHOWN] + "...",
            "client": request.client_address,
            "trace": request.trace_id,
            "traceparent": None if trace is None else trace.decode("latin-1"),
        }

    def _wait(self, exchange_id: str, facts: Facts, exchange: Served) -> None:
        self._waiting[exchange_id] = facts, exchange
        exchange.on_return = partial(self._returned, exchange_id)
        self._patience.begin(exchange_id)

    def _returned(self, exchange_id: str) -> None:
        """Write a line whose call has returned, or that has waited long enough."""
        self._patience.end(exchange_id)
        facts, exchange = self._waiting.pop(exchange_id)
        exchange.on_return = None
        _finish(facts, exchange)


def _finish(facts: Facts, exchange: Served) -> None:
    facts["reason"] = exchange.reason if facts["outcome"] == exchange.outcome else DRAINING
    facts["note"] = exchange.note or facts["note"]
    facts["ttfb_ms"] = None if exchange.ttfb is None else round(exchange.ttfb * 1000, 1)
    facts["request_bytes"] = exchange.request_bytes
    facts["resumes"] = max(exchange.attaches - 1, 0)
    facts["calls"] = exchange.calls
    facts["request_id"] = exchange.request_id
    _write(facts)


_INFO, _WARNING = (
    logging.LogRecord(log.name, level, "", 0, "%s %s", (), None)
    for level in (logging.INFO, logging.WARNING)
)


def _write(facts: Facts) -> None:
    """Write it as `Logger.info` would, at a third of its cost: all that such records share is looked up once.

    The caller has seen that somebody reads it, and this logger has no filters.
    """
    if not facts.get("note"):
        facts.pop("note", None)
    model = _WARNING if facts["outcome"] == "failed" else _INFO
    record = logging.LogRecord.__new__(logging.LogRecord)
    attributes = vars(record)
    attributes.update(vars(model))
    attributes.update(facts, facts=facts)
    record.created = now = time.time()
    record.msecs = float(int(now % 1 * 1000))
    record.relativeCreated = model.relativeCreated + (now - model.created) * 1000
    if "path" in facts:
        record.args = (facts["method"], facts["path"])
    else:
        record.msg = "unreadable request"
    log.callHandlers(record)
