"""The gateway's rules of the model: what it makes of one frame, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.config import Mutant
from tests.model.state import (
    ATTACH,
    ATTACHED_FRAME,
    BOUND,
    DATA,
    END,
    END_ACK,
    ENDED,
    FAILED,
    HEAD,
    HEAD_FRAME,
    HELD_UP_TO,
    KEY,
    LIMIT,
    LOST,
    MAIN_OWNER,
    NEXT,
    NEXT_ATTACHED,
    NOBODY,
    OWNER,
    REJECT_GAP,
    REJECT_TERMINAL,
    STALE,
    STALE_OWNER,
    TAKEN,
    TERMINAL,
    TOLD,
    WINDOW,
    Ints,
    Violation,
    fields,
    frame,
)

if TYPE_CHECKING:
    from tests.model.config import Config


class Gateway:
    """What the gateway does. Its state is a list of numbers that these methods change."""

    def __init__(self, config: Config, mutant: Mutant | None) -> None:
        self._config = config
        self._mutant = mutant

    def takes(self, g: list[int], number: int, packed: int, rest: Ints) -> list[int]:
        """Take the first frame of a connection; `rest` may come in the same read. Return what is answered.

        Raises:
            Violation: an honest function must not say that, or must not be answered so.
        """
        kind, _, _, parting = fields(packed)
        if kind == ATTACH:
            return self._on_attach(g, number, packed)
        if kind == NEXT:
            if g[BOUND] == number:
                raise Violation("I5: the next exchange finds its connection taken")
            return [frame(NEXT_ATTACHED)]
        if g[BOUND] != number:
            return []
        out = [] if g[TERMINAL] == FAILED else self._on_frame(g, number, packed)
        if kind == END:
            self._on_last(g, parting, rest)
        return [] if parting else out

    def _on_last(self, g: list[int], parting: int, rest: Ints) -> None:
        """Let the connection go, with END_ACK as the last word there or without a word."""
        if parting and self._mutant is Mutant.BOUND_AFTER_PARTING:
            return
        if not parting and g[TERMINAL] == FAILED:
            return
        g[BOUND], g[LOST] = -1, 0
        if not parting and rest and fields(rest[0])[0] == NEXT:
            raise Violation("I5: the next exchange is there before END_ACK could leave")

    def _on_attach(self, g: list[int], number: int, packed: int) -> list[int]:
        _, lo, hi, head_sent = fields(packed)
        if g[TERMINAL]:
            return [frame(REJECT_TERMINAL)]
        key = number + 1  # the stale invocation comes before every epoch of the other
        if key <= g[KEY]:
            if self._mutant is not Mutant.FENCE_BY_ARRIVAL:
                return []  # STALE: the function has a newer connection and ignores it
            if g[BOUND] >= 0:
                raise Violation("I5: a connection is bound although a newer one was")
        taken_over = g[HEAD] and not head_sent and self._mutant is not Mutant.HEAD_OF_ANOTHER
        if not lo <= g[HELD_UP_TO] <= hi or taken_over:
            if g[ENDED]:
                return [frame(REJECT_TERMINAL)]
            if not self._config.stale:  # else its place may be taken
                raise Violation("I1: an honest function is told of a gap")
            g[TERMINAL] = FAILED
            return [frame(REJECT_GAP)]
        g[KEY], g[BOUND], g[LOST] = key, number, 0
        if self._mutant is not Mutant.CREDIT_NOT_RESTATED:
            g[TOLD] = min(lo, g[TAKEN])
            g[LIMIT] = max(g[LIMIT], g[TAKEN] + self._config.window)
        return [frame(ATTACHED_FRAME, g[HELD_UP_TO], g[LIMIT], g[HEAD])]

    def _on_frame(self, g: list[int], number: int, packed: int) -> list[int]:
        kind, first, _, _ = fields(packed)
        owner = STALE_OWNER if number == STALE else MAIN_OWNER
        if kind == HEAD_FRAME:
            self._own(g, owner)
            g[HEAD] = 1
        elif kind == DATA:
            self._on_data(g, owner, first)
        else:
            return self._on_end(g, owner, first)
        return []

    def _own(self, g: list[int], owner: int) -> None:
        if g[OWNER] not in (NOBODY, owner):
            raise Violation("I1: the response is put together from two invocations")
        g[OWNER] = owner

    def _on_data(self, g: list[int], owner: int, offset: int) -> None:
        if not g[HEAD]:
            raise Violation("I1: DATA before HEAD")
        if offset >= g[LIMIT]:
            raise Violation("I2: DATA beyond the credit")
        if offset > g[HELD_UP_TO]:
            raise Violation("I1: a gap before DATA")
        self._own(g, owner)
        g[HELD_UP_TO] = max(g[HELD_UP_TO], offset + 1)

    def _on_end(self, g: list[int], owner: int, final: int) -> list[int]:
        if not g[HEAD] or g[HELD_UP_TO] != final:
            raise Violation("I1: END, and not everything is held")
        self._own(g, owner)
        g[ENDED] = 1
        return [frame(END_ACK, final)]

    def credit(self, g: list[int]) -> list[int]:
        """Give back what the client took."""
        consumed = g[HELD_UP_TO] if self._mutant is Mutant.ACK_AT_RECEPTION else g[TAKEN]
        if consumed <= g[TOLD]:
            return []
        g[TOLD] = consumed
        g[LIMIT] = max(g[LIMIT], consumed + self._config.window)
        return [frame(WINDOW, consumed, g[LIMIT])]
