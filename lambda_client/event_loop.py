"""What connections need of an event loop: the library's own (`reactor`), or one of asyncio's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Handle(Protocol):
    """Something that will be done, unless it is cancelled."""

    def cancel(self) -> None:
        """Do not do it. Harmless afterwards."""
        ...


class Loop(Protocol):
    """What connections need of a loop: a part of what asyncio's loops have."""

    def time(self) -> float:
        """Return monotonic seconds."""
        ...

    def call_soon(self, job: Callable[[], object], /) -> object:
        """Run `job` after what is being done now. Called on the loop."""
        ...

    def call_soon_threadsafe(self, job: Callable[[], object], /) -> object:
        """Run `job` soon, after every job given before it. Callable anywhere."""
        ...

    def call_at(self, when: float, job: Callable[[], object], /) -> Handle:
        """Run `job` at `when`."""
        ...

    def call_later(self, seconds: float, job: Callable[[], object], /) -> Handle:
        """Run `job` in so many seconds."""
        ...

    def add_reader(self, fd: int, job: Callable[[], object], /) -> object:
        """Run `job` whenever a descriptor is readable, or has failed."""
        ...

    def add_writer(self, fd: int, job: Callable[[], object], /) -> object:
        """Run `job` whenever a descriptor is writable, or has failed."""
        ...

    def remove_reader(self, fd: int, /) -> object:
        """Care no more whether it is readable."""
        ...

    def remove_writer(self, fd: int, /) -> object:
        """Care no more whether it is writable."""
        ...
