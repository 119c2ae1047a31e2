"""The HTTP client of the invoke leg."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType

CONNECT_SECONDS = 5.0
"""For name, TCP and TLS: the API is in the gateway's own region."""

IDLE_SECONDS = 15.0
"""A pooled connection idle for longer is closed by us: one that AWS closes first would lose a call
about which nobody knows whether it ran."""

KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Seconds of silence before a probe, between probes, and probes. A call is silent for as long as the
function runs, up to 15 minutes, and NAT gateways forget silent connections after 350 s."""


def open_session() -> aiohttp.ClientSession:
    """Return the session for every call of the process; calls at once are limited by the routes."""
    connector = aiohttp.TCPConnector(
        limit=0, keepalive_timeout=IDLE_SECONDS, socket_factory=_keepalive_socket
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _keepalive_socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        option = getattr(socket, name, None)  # other systems lack some of them
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
