"""What became of responses that a fault has struck."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.soak.figures.bodies import Wanted
    from tests.soak.figures.judges import Judged

LYING = "other-bytes"
"""Here the function itself sends other bytes than it should, until its CRC gives it away."""

ERROR_EVENT = b"event: error"


@dataclass
class Endings:
    """What was found, each Counter by kind of fault.

    Attributes:
        broken: responses that ended visibly broken.
        whole: responses that came whole in spite of it (the tail came in the receipt).
        false: clean ends of bodies that were not whole: there must be none.
        wrong: bodies with a byte that was never sent: there must be none.
        hung: responses without an end.
        early: faults that struck before the head was out: they count for nothing.
        lines: what to know of those that must not be.
    """

    broken: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    hung: Counter[str] = field(default_factory=Counter)
    early: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """Responses that a fault struck behind their head."""
        return sum((self.broken + self.whole + self.false + self.hung).values())

    def add(self, kind: str, judge: str, wanted: Wanted, judged: Judged) -> None:
        """Judge one."""
        expected, body = wanted.body(), bytes(judged.body)
        said = body.partition(ERROR_EVENT)[0] if wanted.framing == "events" else body
        if judged.status >= 400 or (not body and judged.clean is False):
            self.early[kind] += 1
            return
        if judged.clean is None:
            self._note(self.hung, kind, judge, wanted, judged)
        elif judged.clean and body == expected:
            self.whole[kind] += 1
        elif judged.clean:
            self._note(self.false, kind, judge, wanted, judged)
        else:
            self.broken[kind] += 1
        if kind != LYING and not expected.startswith(said):
            self._note(self.wrong, kind, judge, wanted, judged)

    def _note(
        self, counter: Counter[str], kind: str, judge: str, wanted: Wanted, judged: Judged
    ) -> None:
        counter[kind] += 1
        self.lines.append(
            f"{kind}, {wanted.framing}, by {judge}: {wanted}, got {len(judged.body)} bytes, status"
            f" {judged.status}, clean: {judged.clean}, ends {bytes(judged.body[-80:])!r}"
        )
