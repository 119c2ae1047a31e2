"""The byte-level vectors: a foreign reader and our codec must both read them as they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import protocol
from protocol.codec import FRAME_TABLE, FrameType, decode, encode
from protocol.errors import RemoteProtocolError
from protocol.limits import Limits
from tests.protocol import vector_reader

if TYPE_CHECKING:
    from protocol.frames import Frame

FILE = Path(protocol.__file__).with_name("vectors.json")
VECTORS: dict[str, Any] = json.loads(FILE.read_text())
ROWS = {row.frame: row for row in FRAME_TABLE}
each = pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])


def message(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"]) + bytes(vector.get("pad", 0))


def expected(vector: dict[str, Any]) -> dict[str, Any]:
    return {key: vector[key] for key in ("frame", "fields", "ignored", "close") if key in vector}


def plain(value: object) -> object:
    if isinstance(value, Limits):
        return list(value.to_wire())
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def meaning(frame: Frame | None) -> dict[str, Any]:
    if frame is None:
        return {"ignored": True}
    row = ROWS[type(frame)]
    return {
        "frame": row.name,
        "fields": {name: plain(getattr(frame, name)) for name in row.fields},
    }


@each
def test_a_reader_that_knows_only_the_specification(vector: dict[str, Any]) -> None:
    read = vector_reader.read(message(vector), VECTORS["frames"], vector.get("max_frame", 65536))
    assert read == expected(vector)


@each
def test_our_codec(vector: dict[str, Any]) -> None:
    try:
        frame = decode(message(vector), max_frame=vector.get("max_frame", 65536))
    except RemoteProtocolError as error:
        assert {"close": error.close_code} == expected(vector)
        return
    assert meaning(frame) == expected(vector)
    if frame is not None and not vector.get("not_shortest"):
        assert encode(frame) == message(vector)


@pytest.mark.parametrize("row", FRAME_TABLE, ids=lambda row: row.name)
def test_the_vectors_know_every_frame(row: FrameType) -> None:
    entry = VECTORS["frames"][str(row.number)]
    assert entry["name"] == row.name
    assert tuple(name for name, _ in entry["fields"]) == row.fields
    assert any(vector.get("frame") == row.name for vector in VECTORS["vectors"])
