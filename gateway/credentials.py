"""What the gateway keeps secret, and how it proves who it is: token keys and certificates, from files.

All of it is read again when the files change, and nothing that is open is disturbed: a token that was
minted stays good (`Tokens.use`), and a connection keeps the certificate that it was opened with.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.errors import ConfigError
from gateway.secret import Variable
from gateway.tls.certificate import CertificateFiles, read_certificate
from gateway.tls.connection import TlsConnection
from gateway.tls.handshakes import Handshakes
from gateway.tokens import Tokens
from gateway.watched_files import WatchedFiles, watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from ssl import SSLContext

    from gateway.config import GatewaySettings
    from gateway.crowds import Crowd

    Factory = Callable[[], asyncio.BaseProtocol]


@dataclass(frozen=True, slots=True)
class Credentials:
    """The tokens and certificates of one process.

    Attributes:
        tokens: mints and checks what functions show.
        certificates: of the listeners that have one, by the listener's name.
        files: what all of it was read from.
    """

    tokens: Tokens
    certificates: dict[str, WatchedFiles[SSLContext]]
    files: tuple[WatchedFiles[Any], ...]

    async def watch(self) -> None:
        """Read again what changes, until cancelled."""
        await watch(self.files)

    def secured(self, listener: str, factory: Factory, crowd: Crowd) -> Factory:
        """Return what makes the protocol of a listener's connections: with TLS, if it has a certificate.

        Args:
            listener: its name.
            factory: makes the protocol above.
            crowd: where that counts its connections; those that have yet to get there count, too.
        """
        certificate = self.certificates.get(listener)
        if certificate is None:
            return factory
        handshakes = Handshakes(crowd)
        return lambda: TlsConnection(factory, certificate.value, listener, handshakes)


def read_credentials(settings: GatewaySettings, key: bytes | None = None) -> Credentials:
    """Read every key and certificate that the settings name.

    Args:
        settings: of the process.
        key: of tokens where they name none; absent: a random one.

    Raises:
        ConfigError: a file cannot be read, or does not hold what it should.
    """
    certificates = {
        name: WatchedFiles(
            f"certificate of the {name} listener",
            files.paths,
            partial(read_certificate, f"gateway.{name}_certificate", files),
        )
        for name, files in _certificate_files(settings)
    }
    files: list[WatchedFiles[Any]] = [*certificates.values()]
    if settings.token_keys:
        paths = [one for one in settings.token_keys if not isinstance(one, Variable)]
        keys = WatchedFiles("token keys", paths, partial(read_keys, settings.token_keys))
        tokens = Tokens(keys.value)
        keys.on_change = partial(_use_keys, tokens)
        files.append(keys)
    else:
        tokens = Tokens([] if key is None else [key])
    return Credentials(tokens, certificates, tuple(files))


def read_keys(places: Iterable[Path | Variable]) -> list[bytes]:
    """Read the keys of attach tokens.

    Raises:
        ConfigError: a file or variable cannot be read, or does not hold a key.
    """
    keys = []
    for place in places:
        try:
            keys.append(place.read_bytes().strip())
            Tokens(keys[-1:])  # names the place whose key is of no use
        except OSError as error:
            why = f"cannot be read ({error.strerror})"
            raise ConfigError(f"gateway.token_keys: {place}: {why}") from error
        except ValueError as error:
            raise ConfigError(f"gateway.token_keys: {place}: {error}") from error
    try:
        Tokens(keys)
    except ValueError as error:
        raise ConfigError(f"gateway.token_keys: {error}") from error
    return keys


def _use_keys(tokens: Tokens, keys: list[bytes]) -> None:
    tokens.use(keys, now=time.time())


def _certificate_files(settings: GatewaySettings) -> list[tuple[str, CertificateFiles]]:
    found = []
    for name in ("edge", "callback"):
        chain = getattr(settings, f"{name}_certificate")
        key = getattr(settings, f"{name}_key")
        if chain is not None:
            found.append((name, CertificateFiles(chain, key)))
        elif key is not None:
            raise ConfigError(f"gateway.{name}_key: without gateway.{name}_certificate; name both")
    return found
