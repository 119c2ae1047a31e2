"""The handshakes that are under way on one listener: so many, and none keeps a newcomer out (see `gateway.crowds`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from gateway.crowds import Crowd
    from gateway.tls.connection import TlsConnection

HANDSHAKES_MAX = 1000
"""That are under way on one listener. Each costs some 30 KiB and a millisecond of arithmetic: so many are a
fleet that comes back, or somebody who means harm."""


class Handshakes:
    """Of one listener, oldest first.

    Args:
        crowd: of the listener; each of them counts there from accept on, until it is done.
    """

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._under_way: dict[TlsConnection, None] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._under_way)

    def begin(self, connection: TlsConnection, transport: asyncio.BaseTransport) -> bool:
        """Count one more; return whether it may go on."""
        if not self._crowd.enter(connection, transport):
            return False
        if len(self._under_way) >= HANDSHAKES_MAX:
            self._crowd.tell(f"{len(self)} TLS handshakes are under way; the oldest go")
            next(iter(self._under_way)).give_way()
        self._under_way[connection] = None
        return True

    def end(self, connection: TlsConnection) -> None:
        """One is done, or over; told more than once, it is so once."""
        if connection in self._under_way:
            del self._under_way[connection]
            self._crowd.leave(connection)
