"""Files that are read again when they change: certificates, keys.

They are looked at every few seconds, in a thread, since a volume may hang. An inotify would not see what
Kubernetes does: it swaps a symbolic link somewhere above.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gateway.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

T = TypeVar("T")

log = logging.getLogger("dialback.server")

LOOK_SECONDS = 5.0
"""A new certificate comes days before the old one ends; a person who changes one by hand waits so long."""


class WatchedFiles(Generic[T]):
    """Files that something is made of.

    Attributes:
        value: what was made of them when they were last read.
        on_change: called with it on the event loop, whenever it is another.
    """

    def __init__(self, what: str, paths: Iterable[Path], read: Callable[[], T]) -> None:
        """Read the files.

        Args:
            what: they are, for the log.
            paths: of the files.
            read: makes something of them, later in a thread; raises `ConfigError` when it cannot, and then
                the old one stays.

        Raises:
            ConfigError: nothing can be made of them.
        """
        self._what = what
        self._paths = tuple(paths)
        self._read = read
        self._trouble = ""
        # From before reading, as in `_read_if_changed`: what changes meanwhile is seen at the next look.
        self._seen = self._state()
        self.value = read()
        self.on_change: Callable[[T], None] = lambda _: None

    async def look(self) -> None:
        """Read the files again if one of them has changed since they were last read.

        What cannot be used is tried again each time: descriptors may have been short, or its owner
        gave the right to read it only afterwards.
        """
        before, self._trouble = self._trouble, ""
        try:
            read = await asyncio.to_thread(self._read_if_changed)
        except ConfigError as error:
            self._trouble = str(error)
            if self._trouble != before:
                log.error("%s: the old one stays in use: %s", self._what, error)  # noqa: TRY400 - told
            return
        if read is not None:
            self.value = read
            self.on_change(read)
            log.info("%s: changed, and read again", self._what)

    def _read_if_changed(self) -> T | None:
        now = self._state()
        if now == self._seen:
            return None
        read = self._read()
        self._seen = now
        return read

    def _state(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


async def watch(watched: Collection[WatchedFiles[Any]]) -> None:
    """Look at all of them again and again, until cancelled."""
    while watched:
        await asyncio.sleep(LOOK_SECONDS)
        for one in watched:
            await one.look()
