"""`Tokens.verify`: what passes was minted, to the letter; nothing else does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct

from gateway.tokens import CLOCK_LEEWAY, TokenError, Tokens
from tests.fuzz.choices import Choices

KEY, OLD, FOREIGN = (bytes([letter]) * 32 for letter in b"kof")
AUDIENCES = ("group", "other")
VERIFIER = Tokens([KEY, OLD], audience=AUDIENCES[0])
NOW = 1_000_000
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LETTERS = _ALPHABET + "+/=.~ \n\x00\u00e9\u20ac\udc80"


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    token, honest = _minted(choices)
    shown = token
    for _ in range(choices.below(4)):
        shown = _mutated(shown, choices)
    now = float(choices.near(NOW, NOW - CLOCK_LEEWAY, NOW + 100 + CLOCK_LEEWAY, high=2**63))
    try:
        claims = VERIFIER.verify(shown, now=now)
    except TokenError as error:
        assert token not in str(error)
        # Signed as it should be, in force, and shown unchanged: it must open the door.
        assert not (honest and shown == token and now <= NOW + 100), f"refused: {error}"
        return
    assert honest, "a token that nobody minted here opens the door"
    assert shown == token, "a changed token opens the door"
    assert (claims.xid, claims.inv) == (bytes(range(16)), 7)
    assert now <= claims.expires + CLOCK_LEEWAY


def _minted(choices: Choices) -> tuple[str, bool]:
    """A token written without `Tokens`, and whether the verifier's group would mint it."""
    key = choices.pick((KEY, OLD, FOREIGN))
    signed_as = choices.pick((key, key, KEY))
    audience = choices.pick(AUDIENCES)
    version = choices.pick((1, 1, 1, 0, 2, 255))
    body = struct.pack(
        ">B4s16sI8sQQ8s",
        version,
        hashlib.sha256(signed_as).digest()[:4],
        bytes(range(16)),
        7,
        hashlib.sha256(audience.encode()).digest()[:8],
        NOW,
        NOW + 100,
        choices.exactly(8).ljust(8, b"n"),
    )
    honest = key is signed_as and key is not FOREIGN and audience == "group" and version == 1
    return _text(body + hmac.digest(key, body, "sha256")), honest


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _mutated(token: str, choices: Choices) -> str:
    at = choices.below(len(token) + 1)
    letter = choices.pick(_LETTERS)
    match choices.below(6):
        case 0:
            return token[:at] + letter + token[at + 1 :]
        case 1:
            return token[:at] + letter + token[at:]
        case 2:
            return token[:at] + token[at + 1 :]
        case 3:
            return token[:-1] + letter
        case 4:
            return token.translate({ord("-"): "+", ord("_"): "/"})
        case _:
            return _flipped(token, at, choices.byte() or 1)


def _flipped(token: str, at: int, bits: int) -> str:
    """Change a byte below the base64."""
    if len(token) % 4 == 1 or len(token) < 2 or not set(token) <= set(_ALPHABET):
        return token[at:]
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[at % len(raw)] ^= bits
    return _text(bytes(raw))
