"""Which certificates of a gateway this function believes.

Those of the system's authorities, or, where `CA_FILE` names a file, those of the authorities in it and no
others: a private callback then cannot be impersonated with a certificate of some public one. Names are
checked either way.
"""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

CA_FILE = "DIALBACK_CA_FILE"
"""Variable of the function's environment: a PEM file, in its package or a layer. Read once."""


class TrustError(ValueError):
    """The file that `CA_FILE` names is of no use; the text says why."""


def client_context() -> ssl.SSLContext:
    """Return the TLS settings of a dial.

    Raises:
        TrustError: the CA file cannot be read, or holds no certificate.
    """
    # These are what OpenSSL looks at; reading the system's authorities takes some 10 ms.
    return _context(*map(os.environ.get, (CA_FILE, "SSL_CERT_FILE", "SSL_CERT_DIR")))


@lru_cache(maxsize=1)
def _context(ca_file: str | None, *_: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except ssl.SSLError as error:
        raise TrustError(f"{CA_FILE}: {ca_file} holds no certificate in PEM") from error
    except OSError as error:
        raise TrustError(f"{CA_FILE}: {ca_file}: {error.strerror}") from error
    context.options |= ssl.OP_NO_RENEGOTIATION  # a write would have to wait for what the peer says
    return context
