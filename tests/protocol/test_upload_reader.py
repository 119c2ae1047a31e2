from __future__ import annotations

from zlib import crc32

import pytest

from protocol.errors import StreamFailed
from protocol.frames import Data, End, EndAck, Window
from protocol.limits import INITIAL_WINDOW
from protocol.upload_reader import UploadReader


def test_reading_gives_credit_and_the_end_is_acknowledged() -> None:
    reader = UploadReader(streamed=True)
    half = bytes(INITIAL_WINDOW // 2)
    reader.on_data(Data(1, 0, half))
    reader.on_data(Data(1, 0, half))
    reader.on_data(Data(1, len(half), b"x"))
    assert reader.read() == half + b"x"
    assert reader.read() == b""
    position = len(half) + 1
    assert reader.frames_to_send(1, 0.0) == [Window(1, position, position + INITIAL_WINDOW)]
    ended = [reader.ended]
    reader.on_end(End(1, position, crc32(half + b"x")))
    assert [*ended, reader.ended] == [False, True]
    assert reader.frames_to_send(1, 0.0) == [EndAck(1, position)]
    assert reader.frames_to_send(1, 0.0) == []


def test_a_body_in_the_event_takes_no_bytes() -> None:
    reader = UploadReader(streamed=False)
    assert reader.ended
    with pytest.raises(StreamFailed):
        reader.on_data(Data(1, 0, b"x"))
