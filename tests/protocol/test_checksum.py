"""Whichever library computes it, it is the CRC-32 of the specification."""

from __future__ import annotations

import importlib
import sys
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

from protocol import checksum

if TYPE_CHECKING:
    import pytest

SIZES = (0, 1, 15, 16, 63, 64, 255, 1_000, 65_536, 100_003)


def test_it_is_the_one_of_zlib_in_one_piece_and_in_many() -> None:
    random = Random(1)
    whole, ours = b"", 0
    for size in SIZES:
        piece = random.randbytes(size)
        whole, ours = whole + piece, checksum.crc32(memoryview(piece), ours)
        assert checksum.crc32(piece) == crc32(piece)
        assert ours == crc32(whole)


def test_without_the_extra_it_is_zlibs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zlib_ng.zlib_ng", None)
    try:
        assert importlib.reload(checksum).crc32 is crc32
    finally:
        monkeypatch.undo()
        importlib.reload(checksum)
