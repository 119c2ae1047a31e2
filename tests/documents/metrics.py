"""The reference of metrics, made of the catalogue that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import errors
from gateway.exchange.exchange import OWN_REASONS
from gateway.telemetry.catalogue import METRICS, OF_WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.telemetry.catalogue import Metric


def metric_table() -> str:
    """Return every metric, what it means, and what to do when."""
    rows = [
        (f"`{metric.name}`", _told(metric), metric.advice) for metric in (*METRICS, *OF_WORKERS)
    ]
    return _table(("metric", "kind and meaning", "what to do"), rows)


def reason_table() -> str:
    """Return the reasons with which exchanges and requests end."""
    rows = [
        ("`streamed`, `inline`", "it completed: over a callback, or by what the invoke returned")
    ]
    rows += [(f"`{event.value}`", meaning) for event, meaning in OWN_REASONS.items()]
    rows += [(f"`{errors.GatewayError.reason}`", "a bug of the gateway: the log has its traceback")]
    rows += [
        (f"`{error.reason}`", f"{error.status}: {(error.__doc__ or '').splitlines()[0]}")
        for error in _kinds(errors.GatewayError)
    ]
    return _table(("reason", "meaning"), rows)


def _told(metric: Metric) -> str:
    labels = ", ".join(
        f"`{label}`" + (f" ({', '.join(metric.values[label])})" if label in metric.values else "")
        for label in metric.labels
    )
    return f"{metric.kind}{' by ' if labels else ''}{labels}: {metric.help}."


def _kinds(error: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(row) + " |\n" for row in lines)
