"""What a worker is to do, as the supervisor hands it over once, when it starts.

A pickle, because settings and routes are objects that were checked already: a file that was edited
meanwhile changes nothing, and workers never differ. Only a worker reads one, and only from the process
that started it.
"""

from __future__ import annotations

import pickle  # between a process and the one that started it, see above
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

    from gateway.address import Address
    from gateway.config import GatewaySettings
    from gateway.routes import RouteTable

LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Assignment:
    """One worker's work.

    Attributes:
        worker: its number, from 0.
        settings: its own share of them.
        routes: likewise.
        edge: the address that all share, as it was bound.
        callback: its own.
        key: signs tokens when the settings name no key files.
    """

    worker: int
    settings: GatewaySettings
    routes: RouteTable
    edge: Address
    callback: Address
    key: bytes

    def pack(self) -> bytes:
        """Return it as it travels."""
        body = pickle.dumps(self)
        return len(body).to_bytes(LENGTH_BYTES, "big") + body


def receive(channel: socket.socket) -> Assignment:
    """Read an assignment; blocks.

    Raises:
        EOFError: the supervisor is gone.
    """
    size = int.from_bytes(_read(channel, LENGTH_BYTES), "big")
    found: Any = pickle.loads(_read(channel, size))  # noqa: S301 - from the process that started this one
    if not isinstance(found, Assignment):
        raise TypeError("that is no assignment")
    return found


def _read(channel: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(size - len(parts))
        if not part:
            raise EOFError("the supervisor is gone")
        parts += part
    return bytes(parts)
