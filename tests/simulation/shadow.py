"""What `transport.get_extra_info("socket")` is for a simulated connection.

Some code asks the kernel itself about a socket, by its descriptor: whether bytes wait
(`lambda_client.connection`), whether the peer has hung up (`gateway.edge.hangup`). It gets the real
descriptor of a socket pair, made when it asks, that stands as the simulated connection stands.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.wire import Address, Endpoint, Wire


class SocketView:
    """A simulated socket, as far as it may be seen beside its transport."""

    family, type, proto = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP

    def __init__(self, end: Endpoint) -> None:
        self._end = end
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._shown = False

    @property
    def wire(self) -> Wire:
        """The simulated connection."""
        return self._end.wire

    def fileno(self) -> int:
        """Return a descriptor that is readable, or hung up, as this connection is now; -1: closed."""
        if self._end.closed:
            return -1
        if self._pair is None:
            self._pair = socket.socketpair()
        near, far = self._pair
        waiting = bool(self._end.inn.arrived)
        if waiting and not self._shown:
            far.send(b"!")
        elif self._shown and not waiting:
            near.recv(1)
        self._shown = waiting
        if self._end.eof or self._end.error is not None:
            far.close()
        return near.fileno()

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Set what a simulated socket knows."""
        self._end.setsockopt(level, option, value)

    def getsockname(self) -> Address:
        """Return this end's address."""
        return self._end.getsockname()

    def hung_up(self) -> None:
        """The peer is gone: show it to whoever watches the descriptor."""
        if self._pair is not None:
            self._pair[1].close()
            self._end.loop.sockets.poke_real()

    def close(self) -> None:
        """The descriptor goes with its connection."""
        if self._pair is not None:
            for one in self._pair:
                one.close()
