from __future__ import annotations

import select
import socket
import sys

import pytest

from gateway.address import Address
from gateway.errors import ConfigError
from gateway.sockets import address_of, bind, hold, page_origins, share, watch_peers
from tests.patience import PATIENCE


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


ANY = Address("127.0.0.1", 0)


def test_sockets_that_share_an_address_get_each_its_own_connections() -> None:
    with hold("edge", ANY, "") as holder:
        where = address_of(holder)
        with share("edge", where, "") as one, share("edge", where, "") as other:
            for listening in (one, other):
                listening.listen(64)
            clients = [socket.create_connection((where.host, where.port)) for _ in range(64)]
            taken = accept_all(len(clients), one, other)
            assert all(taken)
            for open_one in (*clients, *taken[0], *taken[1]):
                open_one.close()


def accept_all(count: int, *listening: socket.socket) -> list[list[socket.socket]]:
    """Accept so many, however late the kernel has them ready; those of each listener."""
    found: list[list[socket.socket]] = [[] for _ in listening]
    while sum(map(len, found)) < count:
        ready, _, _ = select.select(listening, [], [], PATIENCE)
        assert ready, "some connections are nobody's"
        for one in ready:
            found[listening.index(one)].append(one.accept()[0])
    return found


def test_what_is_held_refuses_connections_and_other_listeners() -> None:
    with hold("edge", ANY, "--x") as holder:
        where = address_of(holder)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((where.host, where.port))
        with share("edge", where, "") as worker:
            worker.listen(1)
            for another in (hold, bind):
                with pytest.raises(ConfigError, match=r"is in use by another program; .* with --x"):
                    another("edge", where, "--x")


def test_a_stranger_that_would_share_the_port_is_not_joined() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), reuse_port=True) as stranger,
        pytest.raises(ConfigError, match="in use by another program"),
    ):
        hold("edge", address_of(stranger), "")


def test_a_socket_that_closes_resets_what_it_had_not_accepted_and_the_others_take_the_next() -> (
    None
):
    """As of a worker that was killed: nobody hangs, and nobody takes a lost request for an empty answer."""
    with hold("edge", ANY, "") as holder, share("edge", address_of(holder), "") as other:
        where = address_of(holder)
        with share("edge", where, "") as dead:
            dead.listen(8)
            waiting = socket.create_connection((where.host, where.port))
            waiting.sendall(b"GET / HTTP/1.1\r\n\r\n")
            other.listen(8)
        with waiting, pytest.raises(ConnectionResetError):
            waiting.recv(1)
        clients = [socket.create_connection((where.host, where.port)) for _ in range(8)]
        (taken,) = accept_all(len(clients), other)
        for one in (*clients, *taken):
            one.close()
