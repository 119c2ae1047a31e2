"""The capability to attach to one exchange: minted with the invoke, shown by the function.

A token is opaque to the function. Only gateways mint and verify it, so the function's clock does not
matter. It is ``base64url(body || HMAC-SHA256(key, body))`` with a fixed-width body (big endian):

    version u8 | key id 4 bytes | xid 16 bytes | inv u32 | audience 8 bytes
    | issued u64 | expires u64 | nonce 8 bytes

Times are seconds since the epoch. The key id is the first four bytes of the key's SHA-256, so that
two keys can be valid at a time (rotation): the first key signs, every key verifies. A key that is taken
away still verifies what it has signed here, until the last of that has expired: no stream is dropped.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 1
KEY_BYTES_MIN = 32  # a key shorter than the MAC it makes (SHA-256) would be its weak point
KEYS_MAX = 2  # one that signs and the one before it; more would only widen what a leak opens
CLOCK_LEEWAY = 60  # seconds; gateways of one group share keys, not clocks

_BODY = struct.Struct(">B4s16sI8sQQ8s")
_MAC_BYTES = 32
_URLSAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648 section 5


class TokenError(Exception):
    """A token that does not open the door; the text says why, and never holds the token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    Attributes:
        xid: the exchange, 16 bytes.
        inv: the invocation of that exchange.
        expires: seconds since the epoch.
    """

    xid: bytes
    inv: int
    expires: int


class Grant(msgspec.Struct, frozen=True):
    """What was minted for one invocation, as the gateway that minted it remembers it.

    Attributes:
        xid: the exchange, 16 bytes.
        inv: the invocation of that exchange.
        token: opens it.
    """

    xid: bytes
    inv: int
    token: str

    @override
    def __repr__(self) -> str:
        return f"Grant({self.xid.hex()}, {self.inv})"

    def admits(self, inv: int, token: str) -> bool:
        """Whether this is the very token that was minted, shown by the invocation it was for.

        No signature is checked: what this process remembers is proof enough, and does not expire in
        the middle of a long stream.
        """
        return inv == self.inv and hmac.compare_digest(token.encode(), self.token.encode())


class Tokens:
    """Mints and verifies attach tokens for one group of gateways."""

    def __init__(self, keys: Sequence[bytes] = (), *, audience: str = "dialback") -> None:
        """Take the keys, the signing one first; none makes a random one.

        Raises:
            ValueError: a key is shorter than `KEY_BYTES_MIN`, or there are more than `KEYS_MAX`.
        """
        _check(keys)
        self._audience = hashlib.sha256(audience.encode()).digest()[:8]
        self._ring = _Ring(list(keys) or [secrets.token_bytes(KEY_BYTES_MIN)], {})

    def use(self, keys: Sequence[bytes], *, now: float) -> None:
        """Take other keys from now on.

        Args:
            keys: the signing one first.
            now: seconds since the epoch.

        Raises:
            ValueError: as the constructor; the old ones stay.
        """
        _check(keys)
        self._ring = _Ring(keys, self._ring.retired(now))

    def mint(self, xid: bytes, inv: int, *, now: float, lifetime: float) -> str:
        """Return a token for one invocation of one exchange.

        Args:
            xid: the exchange, 16 bytes.
            inv: 1 for the first invocation.
            now: seconds since the epoch.
            lifetime: seconds until it expires.
        """
        ring, expires = self._ring, int(now + lifetime) + 1
        ring.last_expiry = max(ring.last_expiry, expires)
        body = _BODY.pack(
            VERSION,
            ring.signing_id,
            xid,
            inv,
            self._audience,
            int(now),
            expires,
            os.urandom(8),
        )
        return _encode(body + hmac.digest(ring.signing, body, "sha256"))

    def verify(self, token: str, *, now: float) -> Claims:
        """Check a token and return what it says.

        Args:
            token: as it came, untrusted.
            now: seconds since the epoch.

        Raises:
            TokenError: malformed, of another version, unknown key, bad signature, for another
                group of gateways, or expired.
        """
        raw = _decode(token)
        body, mac = raw[: _BODY.size], raw[_BODY.size :]
        version, key_id, xid, inv, audience, _, expires, _ = _BODY.unpack(body)
        if version != VERSION:
            raise TokenError(f"token version {version} is not spoken here")
        key = self._ring.find(key_id, expires)
        if key is None:
            raise TokenError("token signed by an unknown key")
        if not hmac.compare_digest(mac, hmac.digest(key, body, "sha256")):
            raise TokenError("token signature does not match")
        if audience != self._audience:
            raise TokenError("token is for another group of gateways")
        if now > expires + CLOCK_LEEWAY:
            raise TokenError("token expired")
        return Claims(xid=xid, inv=inv, expires=expires)


class _Ring:
    """The keys at one time.

    Attributes:
        signing: signs, under the name `signing_id`.
        last_expiry: of the tokens that it signed.
    """

    def __init__(self, keys: Sequence[bytes], retired: dict[bytes, _Retired]) -> None:
        self.signing = keys[0]
        self.signing_id = _key_id(self.signing)
        before = retired.get(self.signing_id)
        self.last_expiry = 0 if before is None else before.last_expiry
        self._keys = {_key_id(key): key for key in keys}
        self._retired = retired

    def find(self, key_id: bytes, expires: int) -> bytes | None:
        """Return the key that verifies a token; a retired one is good for no later expiry than its own."""
        retired = self._retired.get(key_id)
        if retired is not None and expires <= retired.last_expiry:
            return retired.key
        return self._keys.get(key_id)

    def retired(self, now: float) -> dict[bytes, _Retired]:
        """Return what the next ring keeps of this one: keys whose tokens may still be shown."""
        gone = {**self._retired, self.signing_id: _Retired(self.signing, self.last_expiry)}
        return {
            key_id: key for key_id, key in gone.items() if now <= key.last_expiry + CLOCK_LEEWAY
        }


class _Retired(NamedTuple):
    key: bytes
    last_expiry: int


def _check(keys: Sequence[bytes]) -> None:
    if len(keys) > KEYS_MAX:
        raise ValueError(f"{len(keys)} token keys given, at most {KEYS_MAX} can be in use")
    if any(len(key) < KEY_BYTES_MIN for key in keys):
        raise ValueError(f"a token key must have at least {KEY_BYTES_MIN} bytes")


def _encode(raw: bytes) -> str:
    # What `base64.urlsafe_b64encode` does, without two more calls: each request mints.
    text = binascii.b2a_base64(raw, newline=False).translate(_URLSAFE)
    return text.decode().rstrip("=")


def _decode(token: str) -> bytes:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenError("token is not base64url") from error
    if _encode(raw) != token:  # the decoder takes the other alphabet, padding, and stray last bits
        raise TokenError("token is not written as it was minted")
    if len(raw) != _BODY.size + _MAC_BYTES:
        raise TokenError("token has the wrong length")
    return raw


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:4]
