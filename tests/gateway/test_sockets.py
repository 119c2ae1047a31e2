from __future__ import annotations

import socket
import sys

import pytest

from gateway.address import Address
from gateway.errors import ConfigError
from gateway.sockets import bind, page_origins, watch_peers


@pytest.mark.skipif(sys.platform != "linux", reason="other systems lack the options")
def test_accepted_connections_inherit_how_their_peers_are_watched() -> None:
    with bind("edge", Address("127.0.0.1", 0), "") as listener:
        watch_peers(listener, 12.5)
        with socket.create_connection(listener.getsockname()) as _client:
            accepted, _ = listener.accept()
            with accepted:
                tcp = socket.IPPROTO_TCP
                assert accepted.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == 12_500
                assert accepted.getsockopt(tcp, socket.TCP_KEEPIDLE) == 30
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (
            Address("192.0.2.1", 0),
            "192.0.2.1:0 is not an address of this machine; choose another with --x",
        ),
        (
            Address("host.invalid", 1),
            "host.invalid:1 names no host that is known here; choose another with --x",
        ),
    ],
)
def test_an_address_that_cannot_be_had_is_explained(address: Address, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bind("admin", address, "--x")
    assert str(caught.value) == f"admin listener: {reason}"


@pytest.mark.parametrize(
    ("wanted", "bound", "origins"),
    [
        (
            Address("127.0.0.1", 0),
            Address("127.0.0.1", 8080),
            {"http://127.0.0.1:8080", "http://localhost:8080"},
        ),
        (
            Address("0.0.0.0", 80),
            Address("0.0.0.0", 80),
            {"http://0.0.0.0", "http://127.0.0.1", "http://localhost"},
        ),
        (Address("site.lan", 80), Address("10.0.0.5", 80), {"http://site.lan", "http://10.0.0.5"}),
    ],
)
def test_pages_of_the_edge_have_these_origins(
    wanted: Address, bound: Address, origins: set[str]
) -> None:
    assert page_origins(wanted, bound) == origins
