"""Bodies that are named by offset, and what is told of one that is wrong."""

from __future__ import annotations

import hashlib

import pytest

from tests.soak.content import BLOCK, Checker, Content, Wrong

TOTAL = 3 * BLOCK + 17


def test_a_body_is_the_same_however_it_is_read() -> None:
    content = Content(7, TOTAL)
    whole = content.read(0, TOTAL)
    assert len(whole) == TOTAL
    assert b"".join(content.chunks(1001)) == whole
    assert content.read(BLOCK - 3, 10) == whole[BLOCK - 3 : BLOCK + 7]
    assert content.read(TOTAL - 2, 10) == whole[-2:]
    assert content.sha256() == hashlib.sha256(whole).hexdigest()
    assert Content(8, TOTAL).read(0, 100) != whole[:100]


def test_a_right_body_is_whole_only_at_its_end() -> None:
    content = Content(7, TOTAL)
    checker = Checker(content)
    for chunk in content.chunks(5000):
        assert not checker.whole
        checker.take(chunk)
    assert checker.whole


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (lambda body: body[:5000] + body[5100:], Wrong(5000, lost=100)),
        (lambda body: body[:5000] + body[4000:], Wrong(5000, doubled=1000)),
        (lambda body: body[:70_000] + bytes(64) + body[70_064:], Wrong(70_000, invented=True)),
        (lambda body: body + body[-20:], Wrong(TOTAL, doubled=20)),
    ],
    ids=["lost", "doubled", "invented", "too long"],
)
@pytest.mark.parametrize("piece", [1000, BLOCK, 10 * BLOCK])
def test_the_first_wrong_byte_is_found_and_explained(
    body: object, wrong: Wrong, piece: int
) -> None:
    assert callable(body)
    content = Content(7, TOTAL)
    sent = body(content.read(0, TOTAL))
    checker = Checker(content)
    for start in range(0, len(sent), piece):
        checker.take(sent[start : start + piece])
    assert checker.wrong == wrong
    assert not checker.whole
