"""What a function reports about the way to its gateway, when it is asked to look (SPEC section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.envelope import KEY, VERSION, JsonFields, V
from protocol.errors import RemoteProtocolError
from protocol.limits import MAX_URL, MAX_URLS, shorten

if TYPE_CHECKING:
    from protocol.envelope import Envelope

STEPS = ("dns", "tcp", "tls", "upgrade", "attach", "idle")
"""In the order in which they are taken; each needs the one before."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way.

    Attributes:
        name: one of `STEPS`.
        ok: whether it was taken.
        ms: milliseconds that it took.
        detail: what was found, or why it failed; for people.
    """

    name: str
    ok: bool
    ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class UrlReport:
    """How far a function came towards one callback URL."""

    url: str
    steps: tuple[Step, ...]


def report_to_json(envelope: Envelope, reports: list[UrlReport]) -> dict[str, object]:
    """Return what the function returns."""
    told = [
        {
            "url": report.url,
            "steps": [[step.name, step.ok, step.ms, shorten(step.detail)] for step in report.steps],
        }
        for report in reports
    ]
    return {KEY: {"v": VERSION, "xid": envelope.xid, "inv": envelope.inv, "probe": told}}


def parse_report(obj: object, envelope: Envelope) -> list[UrlReport] | None:
    """Read what a function returned; None if it is no report: the function does not know probes.

    Raises:
        RemoteProtocolError: it is one, and malformed or about another probe.
    """
    if not isinstance(obj, dict) or not isinstance(obj.get(KEY), dict) or "probe" not in obj[KEY]:
        return None
    fields = JsonFields(obj[KEY], "report")
    fields.integers({"v": V})
    if fields.xid() != envelope.xid:
        raise RemoteProtocolError("the report is about another probe")
    told = fields.said.get("probe")
    if not isinstance(told, list) or len(told) > MAX_URLS:
        raise fields.wrong("probe", f"a list of at most {MAX_URLS} objects")
    return [_url_report(one) for one in told]


def _url_report(obj: object) -> UrlReport:
    fields = JsonFields(obj, "report.probe")
    steps = fields.said.get("steps")
    if not isinstance(steps, list) or len(steps) > len(STEPS):
        raise fields.wrong("steps", f"a list of at most {len(STEPS)} steps")
    return UrlReport(fields.text("url", MAX_URL), tuple(_step(step, fields) for step in steps))


def _step(step: object, fields: JsonFields) -> Step:
    match step:
        case [str(name), bool(ok), int(ms), str(detail)] if name in STEPS:
            return Step(name, ok, ms, shorten(detail))
        case _:
            raise fields.wrong("steps", "steps of [name, ok, ms, detail]")
