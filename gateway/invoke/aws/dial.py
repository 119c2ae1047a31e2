"""Connections to one server: its name looked up now and then, and TCP, and TLS."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import aiohappyeyeballs

from gateway.tls.client import TlsClient

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from aiohappyeyeballs import AddrInfoType

P = TypeVar("P", bound=asyncio.Protocol)

NAME_SECONDS = 10.0
"""For so long a name's addresses are taken for granted. VPC resolvers answer 1,024 questions a second
(Amazon VPC user guide), and so many calls may begin in one."""

EYEBALLS_SECONDS = 0.25
"""After which the next address is tried beside the one before (RFC 8305 section 5)."""

KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Seconds of silence before a probe, between probes, and probes. A call is silent for as long as the
function runs, up to 15 minutes, and NAT gateways forget silent connections after 350 s."""


class Dialler:
    """Makes connections to one server.

    Args:
        host: its name or address.
        port: of it.
        tls: what it must prove; None for plain TCP.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._addresses: list[AddrInfoType] = []
        self._until = 0.0
        self._lookup: asyncio.Task[None] | None = None

    async def dial(self, factory: Callable[[], P]) -> P:
        """Connect.

        Raises:
            OSError: there is no such name, nobody listens, or they are not who they should be.
        """
        loop = asyncio.get_running_loop()
        raw = await aiohappyeyeballs.start_connection(
            await self._resolved(),
            happy_eyeballs_delay=EYEBALLS_SECONDS,
            socket_factory=_keepalive_socket,
        )
        made: list[P] = []

        def make() -> P:
            made.append(factory())
            return made[0]

        below = make if self._tls is None else partial(TlsClient, make, self._tls, self._host)
        try:
            transport, protocol = await loop.create_connection(below, sock=raw)
        except BaseException:
            raw.close()
            raise
        if isinstance(protocol, TlsClient):
            try:
                await protocol.proven()
            except BaseException:
                transport.abort()
                raise
        return made[0]

    async def _resolved(self) -> list[AddrInfoType]:
        if asyncio.get_running_loop().time() >= self._until:
            if self._lookup is None or self._lookup.done():
                self._lookup = asyncio.create_task(self._look_up())
                self._lookup.add_done_callback(_forgive)
            await asyncio.shield(self._lookup)
        self._addresses.append(self._addresses.pop(0))  # the next caller begins with another
        return self._addresses[:]

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        self._addresses = cast("list[AddrInfoType]", list(found))
        self._until = loop.time() + NAME_SECONDS


def _forgive(lookup: asyncio.Task[None]) -> None:
    """Whoever wanted to know why it failed may have given up waiting: that is no bug to be logged."""
    if not lookup.cancelled():
        lookup.exception()


def _keepalive_socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in KEEPALIVE:
        option = getattr(socket, name, None)  # other systems lack some of them
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
