"""Where a listener binds, and networks, as they are written in settings."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from typing_extensions import override

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener binds.

    Attributes:
        host: a name or IP address, without brackets.
        port: 0 to 65535; 0 lets the system choose.
    """

    host: str
    port: int

    @override
    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``HOST:PORT``; an IPv6 host stands in brackets.

        Raises:
            ValueError: it is not that; the message says what to write.
        """
        host, colon, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not colon or not bare or (":" in bare and bare == host):
            raise ValueError(f"{text!r} is not HOST:PORT; write it like 127.0.0.1:8080")
        if not (port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ValueError(f"{port!r} is not a port; write a number from 0 to 65535")
        return cls(bare, int(port))
