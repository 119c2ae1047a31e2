"""What both sides of a gateway count for themselves, and how that is held against its own numbers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families
from typing_extensions import override

from gateway.exchange.reasons import CANCEL_CODES
from gateway.exchange.states import Event
from gateway.log.json_lines import JsonFormatter
from protocol.errors import CancelCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway.exchange.peer import GatewayUnderTest

Counts = Counter[tuple[str, ...]]


@dataclass
class Books:
    """Two ledgers: nothing in them comes from the gateway.

    Attributes:
        outcomes: what clients saw of their requests, by outcome and reason.
        refusals: answers of the edge that no function had a part in, by status.
        began: responses whose head the client got from a function.
        received: body bytes that clients got from functions; `writes` what they came in.
        uploaded: body bytes that clients sent, and that were wanted.
        called: exchanges in which the function was called at all.
        results: what the calls came to.
        sent: body bytes that functions sent; `frames` the DATA frames among them.
        taken: request body bytes that functions received.
        attached: exchanges to which a callback attached; `resumed` how often one came back.
        cancels: codes that functions were told.
        ignored: seconds that functions ran on all the same.
        opened: monotonic seconds.
    """

    outcomes: Counts = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    began: int = 0
    received: int = 0
    writes: int = 0
    uploaded: int = 0
    called: set[str] = field(default_factory=set)
    results: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    frames: int = 0
    taken: int = 0
    attached: int = 0
    resumed: int = 0
    cancels: Counter[CancelCode] = field(default_factory=Counter)
    ignored: float = 0.0
    opened: float = field(default_factory=monotonic)
    signs: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    """By the path of a request: its client has seen the first bytes."""

    @property
    def requests(self) -> int:
        return self.outcomes.total() + self.refusals.total()


class Shown:
    """What /metrics shows."""

    def __init__(self, text: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        wanted = labels.items()
        return sum(s.value for s in self._samples if s.name == name and wanted <= s.labels.items())

    def by(self, name: str, *labels: str) -> Counts:
        """Its samples by these labels, without those that are 0."""
        found: Counts = Counter()
        for sample in self._samples:
            if sample.name == name and sample.value:
                found[tuple(sample.labels[label] for label in labels)] += int(sample.value)
        return found


class Lines(logging.Handler):
    """The access lines, as JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.found: list[dict[str, Any]] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(json.loads(self.format(record)))

    def sum(self, key: str) -> int:
        return sum(line.get(key) or 0 for line in self.found)


@contextmanager
def access_lines() -> Iterator[Lines]:
    """Collect them within the block."""
    logger, lines = logging.getLogger("dialback.access"), Lines()
    before = logger.level
    logger.addHandler(lines)
    logger.setLevel("INFO")
    try:
        yield lines
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before)


def compare(running: GatewayUnderTest, books: Books, lines: Lines) -> None:
    """Hold the gateway's numbers and its lines against the books, when nothing is under way."""
    shown = Shown(running.telemetry.render().decode())
    assert shown.by("dialback_exchanges_total", "outcome", "reason") == books.outcomes
    assert shown.by("dialback_edge_refusals_total", "status") == _keyed(books.refusals)
    _compare_traffic(shown, books)
    _compare_calls(shown, books)
    _compare_rest(shown)
    _compare_lines(books, lines)


def _compare_traffic(shown: Shown, books: Books) -> None:
    exchanges = books.outcomes.total()
    assert shown.total("dialback_exchange_duration_seconds_count") == exchanges
    assert shown.total("dialback_ttfb_seconds_count") == books.began
    assert shown.total("dialback_response_bytes_total") == books.received == books.sent
    assert shown.total("dialback_edge_writes_total") == books.writes
    assert shown.total("dialback_data_frames_total") == books.frames
    assert shown.total("dialback_request_bytes_total") == books.uploaded == books.taken


def _compare_calls(shown: Shown, books: Books) -> None:
    assert shown.by("dialback_invokes_total", "result") == _keyed(books.results)
    assert shown.total("dialback_queue_wait_seconds_count") == len(books.called)
    assert shown.total("dialback_attach_seconds_count") == books.attached
    assert shown.total("dialback_resume_seconds_count") == books.resumed
    accepted = shown.total("dialback_attaches_total", result="accepted")
    assert accepted == shown.total("dialback_attaches_total") == books.attached + books.resumed
    told: Counter[CancelCode] = Counter()
    for (reason,), count in shown.by("dialback_cancels_total", "reason").items():
        told[CANCEL_CODES.get(Event(reason), CancelCode.FAILED)] += count
    assert told == books.cancels
    ignored = shown.total("dialback_cancel_ignored_seconds_total")
    # The gateway counts from when it told, the function from when it heard, which may be late on a busy machine.
    longest = monotonic() - books.opened
    assert books.ignored <= ignored <= longest * books.cancels.total()


def _compare_rest(shown: Shown) -> None:
    """What only goes on is over."""
    for gauge in (
        "dialback_exchanges_active",
        "dialback_queue_depth",
        "dialback_memory_held_bytes",
        "dialback_callbacks",
    ):
        assert shown.total(gauge) == 0, gauge


def _compare_lines(books: Books, lines: Lines) -> None:
    served = [line for line in lines.found if line["outcome"] != "refused"]
    refused = [line for line in lines.found if line["outcome"] == "refused"]
    assert Counter((line["outcome"], line["reason"]) for line in served) == books.outcomes
    assert Counter(str(line["status"]) for line in refused) == books.refusals
    assert len({line["exchange"] for line in lines.found}) == books.requests
    from_functions = [line for line in served if line["ttfb_ms"] is not None]
    assert len(from_functions) == books.began
    assert sum(line["bytes"] for line in from_functions) == books.received
    assert lines.sum("request_bytes") == books.uploaded
    assert lines.sum("calls") == books.results.total()
    assert lines.sum("resumes") == books.resumed
    assert sum(bool(line["calls"]) for line in served) == len(books.called)


def _keyed(counts: Counter[str]) -> Counts:
    return Counter({(key,): count for key, count in counts.items()})
