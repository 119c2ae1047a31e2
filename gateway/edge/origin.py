"""Where a request came from: what proxies say of it is believed only of those that are trusted.

Everybody may write ``X-Forwarded-For``. What a client wrote is thrown away, and what a trusted proxy
wrote is read from the right, until somebody is named who is not trusted: that is the client. The
function gets ``X-Forwarded-For`` (from the client to our peer), ``-Proto``, ``-Port`` and, if it was
believed, ``-Host``; never ``Forwarded`` (RFC 7239), which is read where ``X-Forwarded-For`` is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address

    from gateway.address import Network
    from protocol.headers import HeaderList

# A client that set the last ones could name a callback of its own, pass for somebody else's exchange,
# or say twice who it is (`function_url` targets).
_NOT_FROM_CLIENTS = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-dialback",
        b"x-dialback-exchange",
        b"x-forwarded-authorization",
    }
)
_SCHEMES = frozenset({"http", "https"})
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
# RFC 7239 section 4: pairs, joined by ";" to an element for each proxy, and those by ",".
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;=]+))\s*(;|,|\Z)')
_BRACKETED = re.compile(r"\[([^\]]*)\](?::[0-9]+)?")
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+")

_ADDRESSES_KEPT = 4096
"""Peers whose trust is remembered: as many as have connections at a time, and half a megabyte."""


class Origin(msgspec.Struct, frozen=True):
    """What is known of the client.

    Attributes:
        address: its IP address, as text.
        scheme: ``http`` or ``https``, as the client used it.
        headers: those of the request that may be passed on, and ours.
    """

    address: str
    scheme: str
    headers: HeaderList


@dataclass(frozen=True, slots=True)
class _Said:
    """What proxies say: `hops` from the client to the last but one, the rest unchecked."""

    hops: list[str]
    proto: str
    host: str
    port: str


class Proxies:
    """The proxies in front of the edge.

    Args:
        networks: where the trusted ones are; none means that clients connect directly.

    Attributes:
        trusts: tells whether an address is a trusted proxy's.
    """

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)
        self.trusts = lru_cache(maxsize=_ADDRESSES_KEPT)(self._is_within)

    def origin(self, peer: str, scheme: str, headers: HeaderList) -> Origin:
        """Tell who asks.

        Args:
            peer: IP address of the other end of the connection; empty if it has none.
            scheme: of the connection.
            headers: of the request, names in lower case.
        """
        kept = tuple(
            [pair for pair in headers if pair[0].replace(b"_", b"-") not in _NOT_FROM_CLIENTS]
        )
        chain, believed_host, port = [peer], "", ""
        if self._networks and self.trusts(peer):
            said = _what_proxies_say(headers)
            chain = self._chain(peer, said.hops)
            scheme = said.proto if said.proto in _SCHEMES else scheme
            believed_host = said.host if _HOST.fullmatch(said.host) else ""
            port = said.port if _PORT.fullmatch(said.port) else ""
        if believed_host:
            kept = (
                *((name, value) for name, value in kept if name != b"host"),
                (b"host", believed_host.encode()),
                (b"x-forwarded-host", believed_host.encode()),
            )
        ours = (
            (b"x-forwarded-for", ", ".join(chain).encode()),
            (b"x-forwarded-proto", scheme.encode()),
            (b"x-forwarded-port", port.encode() or _port(kept, scheme)),
        )
        return Origin(chain[0], scheme, kept + ours)

    def _chain(self, peer: str, hops: list[str]) -> list[str]:
        """Return the addresses from the client to the peer, as far as they can be believed."""
        chain = [peer]
        for hop in reversed(hops):
            address = _address(hop)
            if address is None:
                break
            chain.append(str(address))
            if not self.trusts(chain[-1]):
                break
        return chain[::-1]

    def _is_within(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _what_proxies_say(headers: HeaderList) -> _Said:
    hops = _values(headers, b"x-forwarded-for")
    elements = [] if hops else _forwarded(",".join(_values(headers, b"forwarded")))
    if elements:
        last = elements[-1]
        return _Said(
            [element.get("for", "") for element in elements],
            last.get("proto", "").lower(),
            last.get("host", ""),
            "",
        )
    proto, host, port = (
        # The right-most one is the nearest proxy's own.
        (_values(headers, b"x-forwarded-" + name) or [""])[-1]
        for name in (b"proto", b"host", b"port")
    )
    return _Said(hops, proto.lower(), host, port)


def _values(headers: HeaderList, wanted: bytes) -> list[str]:
    return [
        part.strip()
        for name, value in headers
        if name == wanted
        for part in value.decode("latin-1").split(",")
    ]


def _forwarded(text: str) -> list[dict[str, str]]:
    """Read a Forwarded header; nothing of one that is malformed is believed."""
    elements: list[dict[str, str]] = [{}]
    position = 0
    while position < len(text):
        pair = _PAIR.match(text, position)
        if pair is None:
            return []
        name, quoted, plain, separator = pair.groups()
        elements[-1][name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if plain is None else plain
        if separator == ",":
            elements.append({})
        position = pair.end()
    return elements if elements[-1] else []


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address as proxies write it, with or without brackets and port."""
    for form in (_BRACKETED, _WITH_PORT):
        if match := form.fullmatch(text):
            text = match[1]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _port(headers: HeaderList, scheme: str) -> bytes:
    """Return the port that the client asked, by the Host header."""
    colon = port = b""
    for name, value in headers:
        if name == b"host":
            _, colon, port = value.rpartition(b":")
            break
    return port if colon and port.isdigit() else b"443" if scheme == "https" else b"80"
