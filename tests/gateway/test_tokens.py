"""Tokens open exactly one door, for a while."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens import CLOCK_LEEWAY, KEY_BYTES_MIN, Grant, TokenError, Tokens

XID = bytes(range(16))
KEY, OTHER = b"k" * KEY_BYTES_MIN, b"o" * KEY_BYTES_MIN
NOW = 1_800_000_000.0
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def mint(tokens: Tokens, lifetime: float = 60) -> str:
    return tokens.mint(XID, 3, now=NOW, lifetime=lifetime)


def test_a_token_says_what_was_minted() -> None:
    claims = Tokens([KEY]).verify(mint(Tokens([KEY])), now=NOW)
    assert (claims.xid, claims.inv) == (XID, 3)


def test_two_tokens_for_the_same_door_differ() -> None:
    tokens = Tokens([KEY])
    assert mint(tokens) != mint(tokens)


def test_the_key_before_this_one_still_opens() -> None:
    old = mint(Tokens([OTHER]))
    assert Tokens([KEY, OTHER]).verify(old, now=NOW).xid == XID


@pytest.mark.parametrize(
    ("verifier", "now", "says"),
    [
        (Tokens([OTHER]), NOW, "unknown key"),
        (Tokens([KEY], audience="another"), NOW, "another group"),
        (Tokens([KEY]), NOW + 61 + CLOCK_LEEWAY + 1, "expired"),
    ],
)
def test_a_token_opens_no_other_door(verifier: Tokens, now: float, says: str) -> None:
    with pytest.raises(TokenError, match=says):
        verifier.verify(mint(Tokens([KEY])), now=now)


def test_a_clock_that_is_a_little_behind_does_not_matter() -> None:
    claims = Tokens([KEY]).verify(mint(Tokens([KEY])), now=NOW + 61 + CLOCK_LEEWAY - 1)
    assert claims.xid == XID


@pytest.mark.parametrize("position", range(0, 89, 8))
def test_a_changed_byte_is_noticed(position: int) -> None:
    tokens = Tokens([KEY])
    raw = bytearray(base64.urlsafe_b64decode(mint(tokens) + "=="))
    raw[position] ^= 1
    with pytest.raises(TokenError):
        tokens.verify(base64.urlsafe_b64encode(raw).decode().rstrip("="), now=NOW)


def test_only_the_letters_that_were_minted_open_the_door() -> None:
    tokens = Tokens([KEY])
    token = next(token for token in iter(lambda: mint(tokens), "") if {"-", "_"} & set(token))
    last = ALPHABET[ALPHABET.index(token[-1]) + 1]  # only bits that are cut off differ
    same = (token + "=", token.replace("-", "+").replace("_", "/"), token[:-1] + last)
    for other in same:  # the bytes of a lax decoder
        with pytest.raises(TokenError):
            tokens.verify(other, now=NOW)


@given(st.text(max_size=200))
def test_any_text_is_refused_with_a_reason_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(TokenError) as caught:
        Tokens([KEY]).verify(text, now=NOW)
    assert len(text) < 20 or text not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "says"), [([b"short"], "32 bytes"), ([KEY, OTHER, KEY], "at most 2")]
)
def test_bad_keys_are_refused(keys: list[bytes], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Tokens(keys)


def test_a_grant_admits_its_own_token_from_its_own_invocation() -> None:
    grant = Grant(XID, 3, "token")
    assert grant.admits(3, "token")
    assert not grant.admits(4, "token")
    assert not grant.admits(3, "")
    assert not grant.admits(3, "\N{SNOWMAN}")
    assert "token" not in repr(grant).replace("Grant(", "")


def test_a_key_that_is_gone_verifies_what_it_signed_until_that_has_expired() -> None:
    old, new = b"o" * 40, b"n" * 40
    tokens = Tokens([old])
    short = tokens.mint(XID, 1, now=NOW, lifetime=10)
    long = tokens.mint(XID, 2, now=NOW, lifetime=100)
    forged = Tokens([old]).mint(XID, 3, now=NOW, lifetime=1000)  # by whoever stole the old key
    tokens.use([new], now=NOW)
    assert {tokens.verify(token, now=NOW).inv for token in (short, long)} == {1, 2}
    with pytest.raises(TokenError, match="unknown key"):
        tokens.verify(forged, now=NOW)
    tokens.use([old], now=NOW)  # and back
    tokens.use([new], now=NOW)
    assert tokens.verify(long, now=NOW + 100).inv == 2
    tokens.use([new], now=NOW + 101 + CLOCK_LEEWAY + 1)
    with pytest.raises(TokenError, match="unknown key"):
        tokens.verify(long, now=NOW)


def test_keys_of_no_use_leave_the_old_ones() -> None:
    tokens = Tokens([b"o" * 40])
    token = tokens.mint(XID, 1, now=NOW, lifetime=10)
    for keys in ([b"short"], [b"k" * 40] * 3):
        with pytest.raises(ValueError, match="key"):
            tokens.use(keys, now=NOW)
    assert tokens.verify(token, now=NOW).inv == 1
