"""Finds the journal of an exchange by its xid, and remembers for a while those that are over.

A function may come back for an exchange that has ended (its END_ACK was lost, or it never learnt that
the client left). What remains of a journal after `bury`, its tombstone, answers such a latecomer.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from gateway.journal.budget import MemoryBudget

if TYPE_CHECKING:
    from gateway.journal.memory import MemoryJournal
    from gateway.tokens import Grant
    from protocol.tombstone import Tombstone

TOMBSTONE_SECONDS = (
    60.0  # twice the longest that a function tries to come back (protocol SPEC, timers)
)
TOMBSTONES_MAX = 10_000  # 0.6 KiB each, 6 MiB in all; the oldest go first


class Buried(msgspec.Struct, frozen=True):
    """What answers whoever comes back for an exchange that is over.

    Attributes:
        expires: when nobody will any more (monotonic seconds).
        grant: what opens it, as before.
        tombstone: refuses them.
    """

    expires: float
    grant: Grant
    tombstone: Tombstone


class JournalStore:
    """The journals of this process, living and dead.

    Attributes:
        budget: what they may hold together.
    """

    def __init__(self, budget: MemoryBudget | None = None) -> None:
        self.budget = budget or MemoryBudget()
        self._living: dict[bytes, MemoryJournal] = {}
        self._buried: OrderedDict[bytes, Buried] = OrderedDict()

    def __len__(self) -> int:
        """Return how many exchanges are under way."""
        return len(self._living)

    def open(self, journal: MemoryJournal) -> None:
        """Keep a new journal, which holds nothing yet.

        Raises:
            KeyError: there is one with its xid already.
        """
        if journal.xid in self._living:
            raise KeyError(f"exchange {journal.xid.hex()} has a journal already")
        self._living[journal.xid] = journal
        journal.budget = self.budget

    def find(self, xid: bytes) -> MemoryJournal | Buried | None:
        """Return a journal or what is left of it, or None for an exchange never heard of."""
        return self._living.get(xid) or self._buried.get(xid)

    def bury(self, journal: MemoryJournal, now: float) -> None:
        """Close a journal whose exchange is over; a connection that is bound may still finish with it."""
        journal.close()
        if self._living.pop(journal.xid, None) is None:
            return
        expires = now + TOMBSTONE_SECONDS
        self._buried[journal.xid] = Buried(expires, journal.grant, journal.tombstone())
        while self._buried:
            oldest = next(iter(self._buried.values()))
            if oldest.expires > now and len(self._buried) <= TOMBSTONES_MAX:
                return
            self._buried.popitem(last=False)
