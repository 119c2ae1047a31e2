"""What a soak found, as text for people and as JSON, and whether a promise was broken."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tests.benchmarks.load import percentile
from tests.benchmarks.report import machine

if TYPE_CHECKING:
    from tests.soak.content import Wrong

GROWTH_JUDGED_AFTER = 240.0
"""Seconds of samples behind the warm-up from which a slope says something about growth: before, the
allocator's first pages are most of it."""

GROWTH_MAX = 2048.0
"""KiB a minute: 5 KiB for each of some 400 streams, less than a connection, a task or a buffer would
leave. Freed pages are kept (`gateway.heap`), so what is resident is the busiest moment so far, and a
busier one still comes every few minutes: 400 to 900 KiB a minute were measured without any leak (24,000
quiet exchanges in a row grow by nothing, once the tombstones of 10,000 are there)."""


@dataclass
class Memory:
    """The gateway's resident memory.

    Attributes:
        first: KiB after the warm-up.
        last: KiB at the end.
        most: KiB.
        slope: KiB a minute after the warm-up, by least squares.
        seconds: that the slope is taken over.
    """

    first: int = 0
    last: int = 0
    most: int = 0
    slope: float = 0.0
    seconds: float = 0.0


@dataclass
class LeftOver:
    """What was there at rest before the streams, and after them, with as many functions alive.

    Attributes:
        before: counts by what is counted.
        after: the same.
    """

    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)

    @property
    def more(self) -> dict[str, int]:
        """What grew."""
        grown = {name: self.after[name] - self.before.get(name, 0) for name in self.after}
        return {name: count for name, count in grown.items() if count > 0}


@dataclass
class Report:
    """Everything that is told at the end, added up as it happens.

    Attributes:
        seconds: how long faults were injected.
        streams: at once.
        seed: what the random choices were made from.
        faults: injected, by kind.
        completed: streams that ended cleanly, whole and right, by kind of stream.
        cancelled: streams that their client left.
        killed: streams that broke visibly because their function was killed.
        failed: streams that broke for no reason that this run gave them, each in one line.
        hung: streams that made no progress for too long, each in one line.
        falsely_complete: streams with a clean end that were not whole.
        refused: answers of 503 with Retry-After; they were asked again.
        bytes_compared: body bytes held against what they should be, in both directions.
        lost: bytes that were skipped; `doubled`: that came again; `invented`: places of no body.
        resumes: functions that were attached again after a cut.
        resume_seconds: from the cut of a connection in use to ATTACHED on the next, of functions
            that were not stopped meanwhile.
        outcomes: what the gateway counted, by outcome.
    """

    seconds: float = 0.0
    streams: int = 0
    seed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    killed: int = 0
    failed: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    falsely_complete: list[str] = field(default_factory=list)
    refused: int = 0
    bytes_compared: int = 0
    lost: int = 0
    doubled: int = 0
    invented: int = 0
    resumes: int = 0
    resume_seconds: list[float] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    left_over: LeftOver = field(default_factory=LeftOver)

    def add_wrong(self, wrong: Wrong) -> None:
        """Count what a body had too few or too many of."""
        self.lost += wrong.lost
        self.doubled += wrong.doubled
        self.invented += wrong.invented

    @property
    def broken(self) -> int:
        """Streams whose end has no good reason."""
        return len(self.failed) + len(self.hung) + len(self.falsely_complete)

    @property
    def promises(self) -> dict[str, bool]:
        """Each promise, and whether it was kept."""
        judged = self.memory.seconds >= GROWTH_JUDGED_AFTER
        return {
            "no byte lost": self.lost == 0,
            "no byte doubled": self.doubled == 0,
            "no byte invented": self.invented == 0,
            "no response falsely complete": not self.falsely_complete,
            "nothing broke without a reason": not self.failed,
            "refused only for want of functions": self.refused <= self._functions_taken,
            "nothing hung": not self.hung,
            "nothing left over": not self.left_over.more,
            "the gateway does not grow": not judged or self.memory.slope <= GROWTH_MAX,
            "the run proves something": bool(self.completed and self.faults and self.resumes),
        }

    @property
    def _functions_taken(self) -> int:
        """How often a function was not there when it was due, because we stopped or killed it."""
        return self.faults["frozen"] + self.faults["killed"]

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return all(self.promises.values())

    def resume_ms(self, percent: float) -> float:
        """How long a resume takes, in milliseconds; 0.0 if there was none."""
        return percentile(self.resume_seconds, percent) * 1000 if self.resume_seconds else 0.0

    def to_json(self) -> str:
        """Everything, for a program."""
        plain: dict[str, Any] = dict(vars(self))
        del plain["resume_seconds"]
        plain["resume_ms"] = {f"p{at}": round(self.resume_ms(at), 2) for at in (50, 95, 99, 100)}
        plain["memory"] = asdict(self.memory)
        plain["left_over"] = asdict(self.left_over) | {"more": self.left_over.more}
        plain |= {"promises": self.promises, "kept": self.kept, "machine": machine()}
        return json.dumps(plain, indent=2) + "\n"

    def to_text(self) -> str:
        """Everything, for people."""
        broken = [name for name, kept in self.promises.items() if not kept]
        return "\n".join([*self._lines(), f"verdict    {verdict(broken)}", ""])

    def _lines(self) -> list[str]:
        memory, ended = self.memory, sum(self.completed.values())
        judged = "" if memory.seconds >= GROWTH_JUDGED_AFTER else " (too short to be judged)"
        return [
            f"soak       {self.seconds:.0f} s, {self.streams} streams at once, seed {self.seed}",
            f"machine    {machine()}",
            f"faults     {sum(self.faults.values())}: {listed(self.faults)}",
            f"streams    {ended} completed: {listed(self.completed)}",
            f"           {self.killed} broken because their function was killed,"
            f" {self.cancelled} left by their client, {self.refused} refused with 503",
            f"           {len(self.failed)} broken for no reason, {len(self.hung)} hung,"
            f" {len(self.falsely_complete)} falsely complete",
            *(f"           ! {line}" for line in self.falsely_complete + self.failed + self.hung),
            f"gateway    counted {listed(self.outcomes)}",
            f"resumes    {self.resumes}; from the cut to ATTACHED (no function stopped): {len(self.resume_seconds)}"
            f" measured, p50 {self.resume_ms(50):.1f} ms, p99 {self.resume_ms(99):.1f} ms,"
            f" longest {self.resume_ms(100):.1f} ms",
            f"bytes      {self.bytes_compared / (1 << 20):,.0f} MiB compared: lost {self.lost},"
            f" doubled {self.doubled}, invented {self.invented}",
            f"memory     {memory.first:,} KiB after warm-up, {memory.last:,} KiB at the end, most"
            f" {memory.most:,} KiB; slope {memory.slope:+.0f} KiB a minute{judged}",
            f"left over  {listed(self.left_over.more) or 'nothing'}"
            f" (at rest: {listed(self.left_over.after)})",
        ]


def listed(counts: dict[str, int]) -> str:
    """Counts in one line, the largest first."""
    most = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name}" for name, count in most)


def verdict(broken: list[str]) -> str:
    """The last line."""
    return "every promise kept" if not broken else f"BROKEN: {'; '.join(broken)}"
