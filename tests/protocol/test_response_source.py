from __future__ import annotations

import pytest

from protocol.errors import LocalProtocolError
from protocol.frames import AttachFlag, Data, End, Head
from protocol.headers import HeadError
from protocol.response_source import ResponseSource


def test_head_body_and_end_in_order() -> None:
    source = ResponseSource(4096, 100)
    assert source.frames_to_send(1) == []
    source.start(200, [(b"A", b"b")])
    source.body.write(b"abc")
    source.body.finish()
    assert source.flags == 0
    head, data, end = source.frames_to_send(1)
    assert (head, data) == (Head(1, 200, ((b"a", b"b"),)), Data(1, 0, b"abc"))
    assert isinstance(end, End)
    assert source.flags == AttachFlag.HEAD_SENT | AttachFlag.END_SENT


def test_the_head_is_given_once_and_checked() -> None:
    source = ResponseSource(4096, 100)
    with pytest.raises(LocalProtocolError):
        source.require_head()
    with pytest.raises(HeadError):
        source.start(99, [])
    source.start(200, [])
    source.require_head()
    with pytest.raises(LocalProtocolError):
        source.start(201, [])
    assert source.head == (200, ())


def test_resuming_sends_what_is_not_known() -> None:
    source = ResponseSource(4096, 100)
    source.start(200, [])
    source.body.write(b"abc")
    source.body.finish()
    source.frames_to_send(1)
    unknown = [source.arrival_unknown]
    source.resume(2, head_known=True)
    unknown.append(source.arrival_unknown)
    assert unknown == [True, False]
    data, end = source.frames_to_send(2)
    assert data == Data(2, 2, b"c")
    assert isinstance(end, End)
    source.resume(2, head_known=False)
    assert isinstance(source.frames_to_send(3)[0], Head)


def test_a_body_that_goes_on_has_no_end() -> None:
    source = ResponseSource(4096, 100)
    source.start(200, [])
    assert source.frames_to_send(1) == [Head(1, 200, ())]
    source.body.write(b"x")
    assert source.frames_to_send(1) == [Data(1, 0, b"x")]
