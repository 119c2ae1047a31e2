"""A listener's certificate, in files."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NamedTuple

from gateway.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


class CertificateFiles(NamedTuple):
    """Where a certificate is.

    Attributes:
        chain: PEM: the certificate, and those between it and the CA.
        key: PEM: its private key; None when that is in the same file.
    """

    chain: Path
    key: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file."""
        return (self.chain,) if self.key is None else (self.chain, self.key)


def read_certificate(where: str, files: CertificateFiles) -> ssl.SSLContext:
    """Return what the files hold now.

    Args:
        where: the setting, for errors.
        files: where it is.

    Raises:
        ConfigError: that is no certificate and its key.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996; beyond, OpenSSL's own defaults
    context.options |= ssl.OP_NO_RENEGOTIATION  # dear for us, cheap for a stranger
    context.set_alpn_protocols(["http/1.1"])
    names = " and ".join(map(str, files.paths))
    try:
        context.load_cert_chain(files.chain, files.key, password=_no_pass_phrase)
    except ssl.SSLError as error:
        raise ConfigError(f"{where}: {names}: {_explain(error)}") from error
    except OSError as error:
        raise ConfigError(f"{where}: {names}: {error.strerror}") from error
    except _Encrypted:
        raise ConfigError(
            f"{where}: {names}: the key is encrypted; write it without a pass phrase"
        ) from None
    return context


class _Encrypted(Exception):
    """A key wants a pass phrase, and nobody is there to ask."""


def _no_pass_phrase() -> str:
    raise _Encrypted


def _explain(error: ssl.SSLError) -> str:
    reason: str | None = error.reason
    if reason is None:
        return "no certificate and key in PEM; the certificate comes first, its issuers follow"
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return reason.lower().replace("_", " ")
