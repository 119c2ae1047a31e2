"""The sockets that the gateway listens on: bound with errors that help, and watched by the kernel."""

from __future__ import annotations

import errno
import socket
from itertools import combinations
from typing import TYPE_CHECKING

from gateway.address import Address
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

BACKLOG = 1024
"""Connections that wait to be accepted: a burst of clients must not see refusals."""

KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Seconds of silence before a probe, between probes, and probes: NAT gateways forget after 350 s. Linux counts
no probes where there is a user timeout: a peer that answers none is given up after that."""

CALLBACK_USER_TIMEOUT = 30.0
"""Seconds that bytes may stay unacknowledged on their way to a function, and a function silent: its library
always reads, so that means that it is gone."""


def check_listeners(edge: Address, callbacks: Sequence[Address], admin: Address) -> None:
    """See that no two listeners have one address, before the second one takes us for another program.

    Args:
        edge: of the edge.
        callbacks: of each worker's callback listener.
        admin: of the admin listener.

    Raises:
        ConfigError: two have.
    """
    several = len(callbacks) > 1
    named = [("edge", edge), ("admin", admin)]
    for worker, address in enumerate(callbacks):
        named.insert(-1, (f"callback of worker {worker}" if several else "callback", address))
    for (one, first), (other, second) in combinations(named, 2):
        if first == second and first.port:
            raise ConfigError(
                f"gateway: {one} and {other} are both {first}; give each a port of its own"
            )


def bind(name: str, address: Address, hint: str) -> socket.socket:
    """Listen at an address.

    Args:
        name: of the listener, for the error.
        address: where.
        hint: what chooses the address; ends the error.

    Raises:
        ConfigError: it cannot be had.
    """
    try:
        family, place = _resolve(address)
        return socket.create_server(place, family=family, backlog=BACKLOG)
    except OSError as error:
        raise _cannot(name, address, hint, error) from error


def hold(name: str, address: Address, hint: str) -> socket.socket:
    """Hold an address for the sockets that `share` it; nobody else may have it, and nothing listens yet.

    Raises:
        ConfigError: it cannot be had.
    """
    with bind(name, address, hint) as alone:  # whoever would share the port with us is found out
        address = Address(address.host, address_of(alone).port)
    return share(name, address, hint)


def share(name: str, address: Address, hint: str) -> socket.socket:
    """Bind to an address together with other sockets of this user (SO_REUSEPORT, socket(7)).

    The kernel spreads connections over those that listen; this one does not yet.

    Raises:
        ConfigError: it cannot be had.
    """
    try:
        family, place = _resolve(address)
        one = socket.socket(family)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(place)
        except BaseException:
            one.close()
            raise
    except OSError as error:
        raise _cannot(name, address, hint, error) from error
    return one


def _resolve(address: Address) -> tuple[socket.AddressFamily, tuple[str, int]]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    family, _, _, _, place = found[0]
    return family, (str(place[0]), int(place[1]))


def _cannot(name: str, address: Address, hint: str, error: OSError) -> ConfigError:
    advice = f"choose another with {hint}"
    if error.errno == errno.EADDRINUSE:
        advice = f"stop that program, or {advice}"
    return ConfigError(f"{name} listener: {address} {_reason(error)}; {advice}")


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "names no host that is known here"
    if error.errno == errno.EADDRINUSE:
        return "is in use by another program"
    if error.errno == errno.EADDRNOTAVAIL:
        return "is not an address of this machine"
    if error.errno == errno.EACCES:
        return "may not be used without more rights (ports below 1024 need them)"
    return f"cannot be listened on ({error.strerror})"


def watch_peers(listener: socket.socket, user_timeout: float) -> None:
    """Have the kernel notice peers that vanish; accepted connections inherit it (tcp(7)).

    Args:
        listener: of those peers.
        user_timeout: seconds that sent bytes may stay unacknowledged, probes unanswered, or, with Linux,
            the peer's receive window closed: no fewer than a peer that is still there may take nothing.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (*KEEPALIVE, ("TCP_USER_TIMEOUT", int(user_timeout * 1000))):
        option = getattr(socket, name, None)  # other systems lack some of them
        if option is not None:
            listener.setsockopt(socket.IPPROTO_TCP, option, value)


def address_of(listener: socket.socket) -> Address:
    """Return where a socket is bound."""
    host, port = listener.getsockname()[:2]
    return Address(host, port)


def reachable(address: Address) -> Address:
    """Return where someone on this machine reaches a listener that is bound to every address."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    return Address(loopback.get(address.host, address.host), address.port)


def page_origins(wanted: Address, bound: Address) -> Collection[str]:
    """Return the web origins under which a browser on this machine shows the edge's pages."""
    hosts = {wanted.host, bound.host, reachable(bound).host}
    if hosts & {"127.0.0.1", "::1"}:
        hosts.add("localhost")
    return {f"http://{Address(host, bound.port)}".removesuffix(":80") for host in hosts}
