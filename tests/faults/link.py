"""One connection through the proxy."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from tests.faults.kinds import (
    CLOSE,
    FINISH,
    FLIP,
    HALF_OPEN,
    PAUSE,
    RESET,
    UP,
    Direction,
    Fault,
    Struck,
)
from tests.faults.pipe import ABORT, Pipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.kinds import Point


class Owner(Protocol):
    """The proxy, as its connections see it."""

    faults: list[Struck]

    def call(self, what: Callable[[], None]) -> None:
        """Do something on the proxy's loop."""
        ...

    def changed(self) -> None:
        """Something moved."""
        ...


class Link:
    """One connection through the proxy.

    Attributes:
        number: from 0, in the order in which they were accepted.
        up: what the dialling side sends; `down`: what it gets.
        closed: both sides are gone, or about to go.
        gone: they are.
        port: of the dialling side, which tells whose connection it is; 0 if it had gone before.
    """

    def __init__(self, proxy: Owner, number: int, near: socket.socket, far: socket.socket) -> None:
        self._proxy = proxy
        self.number = number
        self._sockets = (near, far)
        self.up = Pipe(near, far, changed=proxy.changed, broken=self._broken)
        self.down = Pipe(far, near, changed=proxy.changed, broken=self._broken)
        self.closed = self.gone = False
        self.port = 0
        with suppress(OSError):
            self.port = near.getpeername()[1]
        self._tasks: list[asyncio.Task[None]] = []

    def pipe(self, direction: Direction) -> Pipe:
        """Return one half."""
        return self.up if direction is UP else self.down

    def strike(self, fault: Fault, direction: Direction = UP) -> None:
        """Let a fault happen now; harmless when the connection is gone."""
        self._proxy.call(lambda: self.apply(fault, direction))

    def plan(self, point: Point) -> None:
        """Let a fault happen at a byte to come."""
        self._proxy.call(lambda: self._plan(point))

    def resume(self, direction: Direction | None = None) -> None:
        """End a PAUSE, of both directions unless one is named."""

        def apply() -> None:
            for one in self._pipes(direction):
                one.resume()

        self._proxy.call(apply)

    def delay(self, seconds: float, direction: Direction | None = None) -> None:
        """Let every chunk arrive so much later than it was sent."""

        def apply() -> None:
            for one in self._pipes(direction):
                one.delay = seconds

        self._proxy.call(apply)

    def throttle(self, rate: float, direction: Direction | None = None) -> None:
        """Let through so many bytes per second; infinity for all."""

        def apply() -> None:
            for one in self._pipes(direction):
                one.rate = rate

        self._proxy.call(apply)

    # ------------------------------------------------------------ on the loop

    def start(self, points: tuple[Point, ...]) -> None:
        """Begin to forward."""
        for point in points:
            self._plan(point)
        self._tasks = [
            asyncio.ensure_future(pump)
            for pipe in (self.up, self.down)
            for pump in (pipe.receive(), pipe.send())
        ]
        asyncio.gather(*self._tasks, return_exceptions=True).add_done_callback(self._ended)

    def _plan(self, point: Point) -> None:
        strike = partial(self.apply, point.fault, point.direction)
        self.pipe(point.direction).plan(point.offset, strike, upgraded=point.upgraded)

    def _pipes(self, direction: Direction | None) -> tuple[Pipe, ...]:
        return (self.up, self.down) if direction is None else (self.pipe(direction),)

    def apply(self, fault: Fault, direction: Direction) -> None:
        """Let a fault happen."""
        if self.closed:
            return
        self._proxy.faults.append(
            Struck(fault, monotonic(), self.number, self.up.sent, self.down.sent)
        )
        if fault in (RESET, CLOSE):
            self.hang_up(abort=fault is RESET)
        elif fault is FINISH:
            self.pipe(direction).finish()
        elif fault is PAUSE:
            self.pipe(direction).pause()
        elif fault is FLIP:
            self.pipe(direction).flip()
        else:
            for one in self._pipes(None if fault is HALF_OPEN else direction):
                one.swallow()
        self._proxy.changed()

    def hang_up(self, *, abort: bool) -> None:
        """Close both sides."""
        for one in self._sockets:
            if abort:
                with suppress(OSError):  # the peer may have closed it before
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.closed = True
        for pipe in (self.up, self.down):
            pipe.swallow()  # a task that is cancelled may still come round once
        for task in self._tasks:
            task.cancel()

    def _broken(self) -> None:
        self.hang_up(abort=True)

    def _ended(self, _: object) -> None:
        self.closed = self.gone = True
        for one in self._sockets:
            one.close()
        self._proxy.changed()
