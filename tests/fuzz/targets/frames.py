"""`protocol.codec.decode`: against a foreign reader, its own encoder, and a bound on memory (I9)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import protocol
from protocol.codec import FRAME_TABLE, decode, encode
from protocol.errors import RemoteProtocolError
from protocol.limits import Limits
from tests.fuzz.allocation import measured_peak
from tests.protocol import vector_reader

if TYPE_CHECKING:
    from protocol.frames import Frame

FRAMES: dict[str, Any] = json.loads(
    Path(protocol.__file__).with_name("vectors.json").read_text(encoding="utf-8")
)["frames"]
ROWS = {row.frame: row for row in FRAME_TABLE}
MAX_FRAME = 65_536
#: I9: what a message may cost beside its own size (doubled: the message itself and what is made of it).
CONSTANT = 512 * 1024


def fuzz(data: bytes) -> None:
    frame = _decoded(data)
    verdict = vector_reader.read(data, FRAMES, MAX_FRAME)
    if isinstance(frame, RemoteProtocolError):
        assert "close" in verdict, f"refused ({frame}), but legal: {verdict}"
        return
    assert verdict == _meaning(frame), f"taken for {frame}, but it is {verdict}"
    if frame is not None:
        assert str(frame)
        again = encode(frame)
        assert decode(again, max_frame=MAX_FRAME) == frame


def _decoded(data: bytes) -> Frame | RemoteProtocolError | None:
    frame: Frame | RemoteProtocolError | None
    with measured_peak() as peak:
        try:
            frame = decode(data, max_frame=MAX_FRAME)
        except RemoteProtocolError as error:
            frame = error
    bound = 2 * len(data) + CONSTANT
    assert peak.bytes <= bound, f"{peak.bytes} bytes for a message of {len(data)}"
    return frame


def _meaning(frame: Frame | None) -> dict[str, Any]:
    if frame is None:
        return {"ignored": True}
    row = ROWS[type(frame)]
    fields = {name: _plain(getattr(frame, name)) for name in row.fields}
    return {"frame": row.name, "fields": fields}


def _plain(value: object) -> object:
    if isinstance(value, Limits):
        return list(value.to_wire())
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value
