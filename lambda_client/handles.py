"""What a reactor keeps: jobs for later, and who cares for which descriptor."""

from __future__ import annotations

import select
from contextlib import suppress
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


class Watches(dict[int, Watch]):
    """Who cares for which descriptor.

    Attributes:
        writers: descriptors that somebody wants to write to.
    """

    def __init__(self, sockets: select.epoll) -> None:
        """Tell `sockets` of every change."""
        super().__init__()
        self.writers: set[int] = set()
        self._sockets = sockets

    def add(
        self,
        fd: int,
        *,
        reader: Callable[[], object] | None = None,
        writer: Callable[[], object] | None = None,
    ) -> None:
        """Let `reader` or `writer` care for a descriptor, instead of who did."""
        watch = self.get(fd)
        known = watch is not None
        if watch is None:
            watch = self[fd] = Watch()
        watch.reader = reader or watch.reader
        watch.writer = writer or watch.writer
        if writer is not None:
            self.writers.add(fd)
        (self._sockets.modify if known else self._sockets.register)(fd, watch.events)

    def remove(self, fd: int, what: str) -> None:
        """Let nobody care any more: `what` is "reader" or "writer"."""
        watch = self.get(fd)
        if watch is None:
            return
        setattr(watch, what, None)
        if what == "writer":
            self.writers.discard(fd)
        if watch.events:
            self._sockets.modify(fd, watch.events)
        else:
            del self[fd]
            with suppress(OSError):  # `add` was broken off, or it is closed by now
                self._sockets.unregister(fd)
