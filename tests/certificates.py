"""Certificates for tests, from a CA that nobody trusts who is not told to."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("localhost", "127.0.0.1")


@cache
def authority() -> trustme.CA:
    """The CA of this process."""
    return trustme.CA()


def write_certificate(chain: Path, key: Path, *names: str, ca: trustme.CA | None = None) -> None:
    """Issue a certificate for `names` (`NAMES` if there are none) and write it, and its key."""
    issued = (ca or authority()).issue_cert(*(names or NAMES))
    issued.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))


def write_authority(path: Path) -> Path:
    """Write the CA's own certificate, for those who shall trust it."""
    authority().cert_pem.write_to_path(path)
    return path


@cache
def serving() -> ssl.SSLContext:
    """A server's context, for tests that want no files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(*NAMES).configure_cert(context)
    return context


@cache
def trusting() -> ssl.SSLContext:
    """A client's context that trusts the CA, and checks names."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context
