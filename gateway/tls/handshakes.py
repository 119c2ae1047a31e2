"""The handshakes that are under way on one listener: so many, and none keeps a newcomer out.

Who has not shaken hands yet has shown nothing. So where room is short it is the oldest of them that goes:
an honest client is done within two round trips, and whoever says nothing grows old.
"""

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
        self._under_way: dict[TlsConnection, str] = {}
        crowd.make_room = self._cut_oldest

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._under_way)

    def begin(self, connection: TlsConnection, transport: asyncio.BaseTransport) -> bool:
        """Count one more; return whether it may go on."""
        address = self._crowd.enter(transport)
        if address is None:
            return False
        if len(self._under_way) >= HANDSHAKES_MAX:
            self._cut_oldest()
        self._under_way[connection] = address
        return True

    def end(self, connection: TlsConnection) -> None:
        """One is done, or over; told more than once, it is so once."""
        address = self._under_way.pop(connection, None)
        if address is not None:
            self._crowd.leave(address)

    def _cut_oldest(self) -> None:
        if self._under_way:
            self._crowd.tell(f"{len(self._under_way)} TLS handshakes are under way; the oldest go")
            next(iter(self._under_way)).give_way()
