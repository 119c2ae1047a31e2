"""How many bytes all exchanges of this process may hold together.

Counted are response bytes from their arrival until the client's transport has taken them, and request
bytes from when they are accepted until the function has acknowledged them. Credit that was given is never
taken back, so the budget is a line at which nothing new begins, not one that is never crossed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.limits import KIB, MAX_INT

if TYPE_CHECKING:
    from collections.abc import Callable

TIGHT = 0.8
"""The share from which windows stay small. What is promised already can still come."""

TIGHT_WINDOW = 64 * KIB
"""A quarter of the usual: one full frame, with which a stream still flows."""


class MemoryBudget:
    """Counts what is held; journals add and subtract directly, since they do it for every chunk.

    Args:
        limit: in bytes; as good as none if not given.

    Attributes:
        held: bytes held now.
        limit: bytes beyond which nothing new begins.
        refusals: exchanges that were refused for it.
        on_tight: called when an exchange wants to begin although it is tight: free what can be freed.
    """

    __slots__ = ("held", "limit", "on_tight", "refusals")

    def __init__(self, limit: int = MAX_INT) -> None:
        self.held = 0
        self.limit = limit
        self.refusals = 0
        self.on_tight: Callable[[], object] | None = None

    @property
    def tight(self) -> bool:
        """Whether windows stay small."""
        return self.held >= TIGHT * self.limit

    def admit(self) -> bool:
        """Whether one more exchange may begin; counts it as refused if not."""
        if self.held < TIGHT * self.limit:
            return True
        if self.on_tight is not None:
            self.on_tight()
        if self.held < self.limit:
            return True
        self.refusals += 1
        return False
