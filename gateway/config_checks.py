"""What the values of ``[gateway]`` may be. A wrong one is a `ValueError` that says what to write."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, get_args

from gateway.address import Address, Network
from gateway.callback_url import check_callback_url
from gateway.log import LogFormat, LogLevel
from gateway.route_settings import ROUTE_TIMEOUT_MAX
from gateway.secret import SCHEME, Variable
from protocol.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEMORY_MIN, MEMORY_MAX = MIB, 1024 * 1024 * MIB
"""Less holds no four streams; more than a terabyte is a slip of the keyboard."""

WORKERS_MAX = 64
"""More than the cores of any machine that this is for; it is a slip of the keyboard."""

CONNECTIONS_MAX = 1_000_000
"""More than the descriptors of any process."""

CERTIFICATES = ("edge_certificate", "edge_key", "callback_certificate", "callback_key")
"""Settings that name a PEM file."""


def check(key: str, value: Any, base: Path) -> Any:
    """Return the setting that a value stands for.

    Args:
        key: of ``[gateway]``.
        value: of the type that the key has in the file.
        base: where relative paths start.

    Raises:
        ValueError: it is none that the key may have.
    """
    if key == "token_keys":
        return tuple(_secret(text, base) for text in value)
    if key in CERTIFICATES:
        return _file(base / value, "PEM")
    return _CHECKS[key](value)


def _secret(text: str, base: Path) -> Path | Variable:
    if text.startswith(SCHEME):
        return Variable.parse(text)
    return _file(base / text, "a secret")


def _file(path: Path, content: str) -> Path:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; write the path of a file that holds {content}")
    return path


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise ValueError(
            f"{text!r} is not a host name; write it like ops.example.com, without a port"
        )
    return text


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write a network like 10.0.0.0/8, or one address") from None


def _seconds(value: float) -> float:
    if not 0 <= value <= ROUTE_TIMEOUT_MAX:
        raise ValueError(f"{value:g} is not a number of seconds from 0 to {ROUTE_TIMEOUT_MAX:g}")
    return value


def _workers(value: int) -> int:
    if not 1 <= value <= WORKERS_MAX:
        raise ValueError(f"{value} is not a number of workers from 1 to {WORKERS_MAX}")
    return value


def _connections(value: int) -> int:
    if not 1 <= value <= CONNECTIONS_MAX:
        raise ValueError(f"{value} is not a number of connections from 1 to {CONNECTIONS_MAX}")
    return value


def _memory(value: int) -> int:
    if not MEMORY_MIN <= value <= MEMORY_MAX:
        raise ValueError(f"{value} is not a number of bytes from {MEMORY_MIN} to {MEMORY_MAX}")
    return value


def _one_of(choices: Any) -> Callable[[str], str]:
    words = get_args(choices)

    def check(value: str) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(words)}")
        return value

    return check


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "edge": Address.parse,
    "callback": Address.parse,
    "admin": Address.parse,
    "admin_names": lambda names: tuple(map(_name, names)),
    "callback_url": check_callback_url,
    "workers": _workers,
    "trusted_proxies": lambda texts: tuple(map(_network, texts)),
    "connections": _connections,
    "connections_per_address": _connections,
    "memory_budget": _memory,
    "drain_deadline": _seconds,
    "log_level": _one_of(LogLevel),
    "log_format": _one_of(LogFormat),
    "log_query": bool,
    "timing": lambda timing: timing,  # checked when it was read
}
