"""What may differ between a server and dialback, each with its reason; nothing else may."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.differential.cases import Case
    from tests.differential.wire import Answer


@dataclass(frozen=True)
class Difference:
    """One difference that is known.

    Attributes:
        name: what differs.
        reason: why it may.
        level: makes an answer to a case alike in this, whichever server it is from.
    """

    name: str
    reason: str
    level: Callable[[Answer, Case], Answer]


def _without(*names: bytes) -> Callable[[Answer, Case], Answer]:
    def drop(answer: Answer, case: Case) -> Answer:
        kept = tuple(pair for pair in answer.headers if pair[0].lower() not in names)
        return replace(answer, headers=kept)

    return drop


def _lower(answer: Answer, case: Case) -> Answer:
    return replace(answer, headers=tuple((name.lower(), value) for name, value in answer.headers))


def _grouped(answer: Answer, case: Case) -> Answer:
    groups: dict[bytes, list[bytes]] = defaultdict(list)
    for name, value in answer.headers:
        groups[name].append(value)
    pairs = ((name, value) for name in sorted(groups) for value in groups[name])
    return replace(answer, headers=tuple(pairs))


def _event_stream(answer: Answer, case: Case) -> Answer:
    if (b"content-type", b"text/event-stream") not in answer.headers:
        return answer
    ours = ((b"cache-control", b"no-transform"), (b"x-accel-buffering", b"no"))
    return replace(answer, headers=tuple(pair for pair in answer.headers if pair not in ours))


def _framing(answer: Answer, case: Case) -> Answer:
    if case.script.length == "none" or case.script.failure:
        answer = _without(b"content-length")(answer, case)
    return _without(b"transfer-encoding")(answer, case)


def _no_length(status: int) -> Callable[[Answer, Case], Answer]:
    def drop(answer: Answer, case: Case) -> Answer:
        return _without(b"content-length")(answer, case) if case.script.status == status else answer

    return drop


def _page(answer: Answer, case: Case) -> Answer:
    if case.script.failure != "before" or not answer.status.startswith(b"HTTP/1.1 500 "):
        return answer
    return replace(_without(b"content-type")(answer, case), content=b"")


def _after_head(answer: Answer, case: Case) -> Answer:
    return replace(answer, content=b"") if case.method == "HEAD" else answer


COMMON = [
    Difference("names in another case", "they are case-insensitive (RFC 9110, 5.1)", _lower),
    Difference("Date", "the time", _without(b"date")),
    Difference("Server", "dialback does not name itself", _without(b"server")),
    Difference(
        "x-dialback-exchange", "for logs, on every answer", _without(b"x-dialback-exchange")
    ),
    Difference(
        "headers of an event stream",
        "they ask proxies not to buffer it; what the application says goes first",
        _event_stream,
    ),
    Difference(
        "the order of different names",
        "waitress sorts, dialback puts its own last; of one name the order is kept (RFC 9110, 5.3)",
        _grouped,
    ),
    Difference(
        "chunks, or a length that the application did not give",
        "framing belongs to the connection (RFC 9112, 7.1): an answer whose end is known when it"
        " begins gets a length here; `wire` checked that either is right",
        _framing,
    ),
    Difference("Content-Length of a 204", "forbidden (RFC 9110, 8.6)", _no_length(204)),
]

OF_WAITRESS = [
    Difference(
        "Content-Length of a 304", "waitress drops it, RFC 9110, 8.6 allows it", _no_length(304)
    ),
    Difference("the page of a 500", "each server has its own", _page),
    Difference(
        "bytes after the head of an answer to HEAD",
        "waitress sends what the application yields, or a last chunk; dialback nothing, and the test"
        " looks",
        _after_head,
    ),
]


def levelled(answer: Answer, case: Case, differences: list[Difference]) -> Answer:
    """The answer without what is known to differ."""
    for difference in differences:
        answer = difference.level(answer, case)
    return answer
