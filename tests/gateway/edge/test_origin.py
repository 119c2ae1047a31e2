"""Whose word counts about where a request came from."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.edge.origin import Origin, Proxies

TRUSTED = Proxies(map(ip_network, ("10.0.0.0/8", "2001:db8::/32")))
CDN = "10.0.0.1"


def origin(*headers: str, peer: str = CDN, proxies: Proxies = TRUSTED) -> Origin:
    pairs = (
        header.encode("latin-1").partition(b": ")[::2] for header in ("host: example:81", *headers)
    )
    return proxies.origin(peer, "http", tuple(pairs))


def said(found: Origin) -> dict[str, str]:
    """What the function will read of it."""
    return {
        name.decode(): value.decode()
        for name, value in found.headers
        if name == b"host" or b"forwarded" in name
    }


def direct(address: str) -> dict[str, str]:
    return {
        "host": "example:81",
        "x-forwarded-for": address,
        "x-forwarded-proto": "http",
        "x-forwarded-port": "81",
    }


LIES = (
    "x-forwarded-for: 192.0.2.99",
    "x-forwarded-proto: https",
    "x-forwarded-port: 443",
    "x-forwarded-host: bank.example",
    "forwarded: for=192.0.2.99;proto=https;host=bank.example",
)


@pytest.mark.parametrize("peer", ["198.51.100.7", "2001:db9::1", ""])
@pytest.mark.parametrize("proxies", [TRUSTED, Proxies()])
def test_of_what_a_client_says_nothing_is_believed_or_passed_on(
    peer: str, proxies: Proxies
) -> None:
    found = origin(*LIES, peer=peer, proxies=proxies)
    assert (found.address, found.scheme) == (peer, "http")
    assert said(found) == direct(peer)


def test_without_trusted_proxies_no_address_is_one() -> None:
    assert said(origin(*LIES, proxies=Proxies())) == direct(CDN)


@pytest.mark.parametrize(
    "name",
    [
        "x-dialback",
        "x-dialback-exchange",
        "x_dialback",
        "x-forwarded-authorization",
        "x_forwarded_for",  # CGI, and so WSGI, makes one name of "-" and "_"
        "X-Forwarded_For".lower(),
    ],
)
def test_some_headers_are_not_for_clients_to_set(name: str) -> None:
    for peer in (CDN, "198.51.100.7"):
        assert name.encode() not in dict(origin(f"{name}: 1", peer=peer).headers)


def test_other_headers_stay_in_order() -> None:
    kept = origin("x-b: 1", "x_a: 2", "x-b: 3").headers[:4]
    assert kept == ((b"host", b"example:81"), (b"x-b", b"1"), (b"x_a", b"2"), (b"x-b", b"3"))


@pytest.mark.parametrize(
    ("header", "chain"),
    [
        ("198.51.100.7", "198.51.100.7, 10.0.0.1"),
        ("198.51.100.7, 10.2.0.2", "198.51.100.7, 10.2.0.2, 10.0.0.1"),
        ("192.0.2.99, 198.51.100.7, 10.2.0.2", "198.51.100.7, 10.2.0.2, 10.0.0.1"),
        ("10.9.0.1, 10.2.0.2", "10.9.0.1, 10.2.0.2, 10.0.0.1"),
        ("192.0.2.99, unknown, 10.2.0.2", "10.2.0.2, 10.0.0.1"),
        ("198.51.100.7:4711", "198.51.100.7, 10.0.0.1"),
        ("[2001:db9::7]:4711", "2001:db9::7, 10.0.0.1"),
        ("2001:db9::7", "2001:db9::7, 10.0.0.1"),
        ("::ffff:198.51.100.7", "198.51.100.7, 10.0.0.1"),
        ("::ffff:10.2.0.2", "10.2.0.2, 10.0.0.1"),
        ("198.51.100.7,", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("\xff", "10.0.0.1"),
    ],
)
def test_the_right_most_address_that_is_not_trusted_is_the_client(header: str, chain: str) -> None:
    found = origin(f"x-forwarded-for: {header}")
    assert found.address == chain.split(",")[0]
    assert said(found)["x-forwarded-for"] == chain


def test_repeated_headers_are_one_list() -> None:
    found = origin("x-forwarded-for: 192.0.2.99", "x-forwarded-for: 198.51.100.7, 10.2.0.2")
    assert found.address == "198.51.100.7"


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "2001:db8::5"])
def test_proxies_on_other_kinds_of_address(peer: str) -> None:
    assert origin("x-forwarded-for: 198.51.100.7", peer=peer).address == "198.51.100.7"


def test_scheme_host_and_port_of_a_trusted_proxy() -> None:
    found = origin(
        "x-forwarded-for: 198.51.100.7",
        "x-forwarded-proto: HTTPS",
        "x-forwarded-host: www.example.com",
        "x-forwarded-port: 8443",
    )
    assert found.scheme == "https"
    assert said(found) == {
        "host": "www.example.com",
        "x-forwarded-for": "198.51.100.7, 10.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "8443",
        "x-forwarded-host": "www.example.com",
    }


def test_the_port_follows_from_host_and_scheme() -> None:
    assert (
        said(origin("x-forwarded-proto: https", "x-forwarded-host: a.b"))["x-forwarded-port"]
        == "443"
    )
    assert said(origin("x-forwarded-host: a.b"))["x-forwarded-port"] == "80"
    assert said(origin("x-forwarded-host: 2130706433"))["x-forwarded-port"] == "80"
    assert said(origin("x-forwarded-host: [::1]:82"))["x-forwarded-port"] == "82"


@pytest.mark.parametrize(
    "header",
    [
        "x-forwarded-proto: gopher",
        "x-forwarded-host: a b",
        "x-forwarded-host: a/b",
        "x-forwarded-host: \xff",
        "x-forwarded-port: 8o",
        "x-forwarded-port: 0",
    ],
)
def test_nonsense_is_not_believed_of_anyone(header: str) -> None:
    assert said(origin(header)) == direct(CDN)


def test_the_nearest_proxy_is_right_about_the_scheme() -> None:
    assert origin("x-forwarded-proto: https, http").scheme == "http"


def test_forwarded_is_read_and_not_passed_on() -> None:
    found = origin(
        'forwarded: for=192.0.2.99;host=bank.example, for="[2001:db9::7]:4711"',
        'forwarded: For="10.2.0.2";Proto=https;host="www.example.com:444";by=_hidden',
    )
    assert found.scheme == "https"
    assert said(found) == {
        "host": "www.example.com:444",
        "x-forwarded-for": "2001:db9::7, 10.2.0.2, 10.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "444",
        "x-forwarded-host": "www.example.com:444",
    }


@pytest.mark.parametrize(
    "header",
    ["for", "for=", "for=198.51.100.7 proto=https", 'for="198.51.100.7', "for=198.51.100.7,", "="],
)
def test_a_malformed_forwarded_says_nothing(header: str) -> None:
    assert said(origin(f"forwarded: {header}")) == direct(CDN)


@pytest.mark.parametrize("hop", ["unknown", "_secret", '"_a\\"b"'])
def test_a_hop_without_an_address_ends_the_way(hop: str) -> None:
    assert origin(f"forwarded: for=192.0.2.99, for={hop}").address == CDN


def test_forwarded_does_not_count_beside_x_forwarded_for() -> None:
    """A proxy that writes one of them may pass on the other as its client sent it."""
    found = origin("x-forwarded-for: 198.51.100.7", "forwarded: for=192.0.2.99;proto=https")
    assert (found.address, found.scheme) == ("198.51.100.7", "http")
