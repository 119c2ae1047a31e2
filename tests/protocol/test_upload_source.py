from __future__ import annotations

from zlib import crc32

import pytest

from protocol.errors import RemoteProtocolError
from protocol.frames import Data, End, EndAck
from protocol.upload_source import UploadSource

END = End(1, 3, crc32(b"abc"))


def test_bytes_then_the_end() -> None:
    source = UploadSource(4096)
    assert source.body.write(b"abc") == 0
    source.resume(0, 2)
    assert source.body.write(b"abc") == 2
    assert source.frames_to_send(1) == [Data(1, 0, b"ab")]
    source.body.acknowledge(1, 3)
    source.body.write(b"c")
    source.body.finish()
    assert source.has_frames
    assert source.frames_to_send(1) == [Data(1, 2, b"c"), END]
    assert not source.has_frames


def test_it_goes_on_elsewhere_until_it_is_acknowledged() -> None:
    source = UploadSource(4096)
    source.resume(0, 9)
    source.body.write(b"abc")
    source.body.finish()
    with pytest.raises(RemoteProtocolError):
        source.on_end_ack(EndAck(1, 3))
    source.frames_to_send(1)
    with pytest.raises(RemoteProtocolError):
        source.on_end_ack(EndAck(1, 2))
    assert [source.keeps(offset) for offset in (0, 3, 4)] == [True, True, False]
    source.resume(3, 9)
    assert source.frames_to_send(1) == [END]
    told = [source.acknowledged]
    source.on_end_ack(EndAck(1, 3))
    assert [*told, source.acknowledged] == [False, True]
    source.resume(3, 9)
    assert source.frames_to_send(1) == []
