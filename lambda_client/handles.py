"""What a reactor keeps: a job for later, and who cares for a descriptor."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    """A job for later."""

    __slots__ = ("job",)

    def __init__(self, job: Callable[[], object]) -> None:
        self.job: Callable[[], object] | None = job

    def cancel(self) -> None:
        """Do not do it."""
        self.job = None


class Watch:
    """Who cares for one descriptor."""

    __slots__ = ("reader", "writer")

    def __init__(self) -> None:
        self.reader: Callable[[], object] | None = None
        self.writer: Callable[[], object] | None = None

    @property
    def events(self) -> int:
        """What epoll is to tell of it."""
        return (select.EPOLLIN if self.reader else 0) | (select.EPOLLOUT if self.writer else 0)
