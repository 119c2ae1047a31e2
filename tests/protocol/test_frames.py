from __future__ import annotations

from protocol.codec import FRAME_TABLE
from protocol.errors import RejectCode
from protocol.frames import Attach, Data, Head, Park, Reject, Reset
from tests.protocol.samples import SAMPLES


def test_a_log_line_never_shows_bytes_tokens_or_secrets() -> None:
    attach = Attach(1, bytes(16), 1, 1, "t0ken", b"s" * 16, 0, 0, 0, 0, 0)
    for text in (str(attach), str(Data(1, 0, b"s3cret")), str(Head(1, 200, ((b"a", b"s3cret"),)))):
        assert "t0ken" not in text
        assert "s3cret" not in text
        assert "ssss" not in text
    assert "t0ken" not in repr(attach)
    assert "ssss" not in repr(attach)


def test_log_lines() -> None:
    assert str(Data(3, 7, b"abc")) == "Data sid=3 offset=7 data=<3>"
    assert str(Park()) == "Park"
    assert str(Attach(1, bytes(16), 1, 2, "", b"", 0, 0, 4, 0, 0)).startswith("Attach sid=1 xid=00")
    assert "code=TERMINAL" in str(Reject(1, RejectCode.TERMINAL, None, "over", None))
    assert "code=77" in str(Reset(1, 77, 0, "from a later version"))


def test_there_is_a_sample_of_every_frame() -> None:
    assert {type(frame) for frame in SAMPLES} == {row.frame for row in FRAME_TABLE}
