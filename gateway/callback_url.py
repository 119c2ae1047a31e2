"""The address that functions dial, as its owner writes it: with a place for what tells workers apart."""

from __future__ import annotations

from urllib.parse import urlsplit

from protocol.envelope import is_callback_url

PLACES = ("{worker}", "{port}")
"""What is filled in for each worker: its number, from 0, and the port of its callback listener."""


def check_callback_url(url: str) -> str:
    """Return a callback base URL without its trailing slash.

    Raises:
        ValueError: it is not ws:// or wss:// with a host and nothing that a path cannot follow.
    """
    hint = "write ws://HOST:PORT or wss://HOST"
    filled = fill_in(url, worker=0, port=1)
    if "{" in filled or "}" in filled:
        raise ValueError(f"{url!r} has braces; only {' and '.join(PLACES)} are filled in")
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
    """Return the URL of one worker."""
    worker_place, port_place = PLACES
    return url.replace(worker_place, str(worker)).replace(port_place, str(port))
