"""The address that functions dial, as its owner writes it: with a place for what tells workers apart."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from protocol.envelope import is_callback_url

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACES = ("{worker}", "{port}")
"""What is filled in for each worker: its number, from 0, and the port of its callback listener."""

HOST = "{host}"
"""What is filled in for each machine: the address under which others in its network reach it."""


_ELSEWHERE = ("192.0.2.1", "2001:db8::1")
"""Addresses that nobody has (RFC 5737, RFC 3849): the way to them is the way to anybody outside."""


def check_callback_url(url: str) -> str:
    """Return a callback base URL without its trailing slash.

    Raises:
        ValueError: it is not ws:// or wss:// with a host and nothing that a path cannot follow.
    """
    hint = "write ws://HOST:PORT or wss://HOST"
    filled = fill_in(url.replace(HOST, "host"), worker=0, port=1)
    if "{" in filled or "}" in filled:
        raise ValueError(f"{url!r} has braces; only {HOST}, {' and '.join(PLACES)} are filled in")
    parts = urlsplit(filled)
    if not is_callback_url(filled) or not parts.hostname:
        raise ValueError(f"{url!r} is not a WebSocket address; {hint}")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{url!r} has a query, a fragment or a user name; {hint}")
    _ = parts.port  # raises a ValueError that names the bad port
    return url.rstrip("/")


def tells_workers_apart(url: str) -> bool:
    """Tell whether each worker gets a URL of its own."""
    return any(place in url for place in PLACES)


def fill_in(url: str, *, worker: int, port: int) -> str:
    """Return the URL of one worker.

    Raises:
        ValueError: it names this machine's own address, and there is none.
    """
    if HOST in url:
        url = url.replace(HOST, own_host())
    worker_place, port_place = PLACES
    return url.replace(worker_place, str(worker)).replace(port_place, str(port))


def own_host(elsewhere: Sequence[str] = _ELSEWHERE) -> str:
    """Return this machine's address on its way to others, fit for a URL.

    That is the private address of an ECS task or an EC2 instance, and the IP of a pod. Nothing is sent.

    Args:
        elsewhere: addresses to look for a way to; the first that has one counts.

    Raises:
        ValueError: there is no way to any of them.
    """
    for address in elsewhere:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))  # a datagram socket only looks up the route
                host: str = probe.getsockname()[0]
        except OSError:
            continue
        return f"[{host}]" if ":" in host else host
    raise ValueError(f"it has {HOST}, and this machine has no way to others; write it out")
