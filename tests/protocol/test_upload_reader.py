from __future__ import annotations

from zlib import crc32

import pytest

from protocol.errors import StreamFailed
from protocol.frames import Data, End, EndAck, Window
from protocol.limits import ACK_DELAY, INITIAL_WINDOW
from protocol.upload_reader import UploadReader


def test_reading_gives_credit_and_the_end_is_acknowledged() -> None:
    reader = UploadReader(streamed=True)
    half = bytes(INITIAL_WINDOW // 2)
    reader.on_data(Data(1, 0, half))
    reader.on_data(Data(1, 0, half))
    reader.on_data(Data(1, len(half), b"x"))
    assert b"".join(reader.read()) == half + b"x"
    assert reader.read() == []
    position = len(half) + 1
    assert reader.frames_to_send(1, 0.0) == [Window(1, position, position + INITIAL_WINDOW)]
    ended = [reader.ended]
    reader.on_end(End(1, position, crc32(half + b"x")))
    assert [*ended, reader.ended] == [False, True]
    assert reader.frames_to_send(1, 0.0) == [EndAck(1, position)]
    assert reader.frames_to_send(1, 0.0) == []


def test_what_was_read_is_no_news_once_an_alarm_is_set_for_it() -> None:
    reader = UploadReader(streamed=True)
    half, news = bytes(INITIAL_WINDOW // 2), []
    for data in (b"abc", b"de", half, b"f"):
        reader.on_data(Data(1, reader.body.position, data))
        reader.read()
        news.append(reader.has_news)
        reader.frames_to_send(1, 5.0)
        assert reader.next_deadline() == (None if data == half else 5.0 + ACK_DELAY)
    # Nobody has set an alarm; one is set; half a window is worth a WINDOW, whose alarm is over.
    assert news == [True, False, True, True]


def test_a_body_in_the_event_takes_no_bytes() -> None:
    reader = UploadReader(streamed=False)
    assert reader.ended
    with pytest.raises(StreamFailed):
        reader.on_data(Data(1, 0, b"x"))
