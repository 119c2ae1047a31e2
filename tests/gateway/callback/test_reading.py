"""What a function sends, however it is cut into reads, beside `websockets` reading the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override
from websockets.frames import Frame
from websockets.protocol import OPEN, Protocol, Side

from gateway.callback.reading import OTHERS_MAX, FrameReader
from protocol.errors import CloseCode
from tests.gateway.callback.frames import BINARY, CLOSE, CONT, FIN, PING, PONG, TEXT, frame

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 1000


class Reader(FrameReader):
    """Keeps what it is told."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(limit)
        self.messages: list[bytes] = []
        self.said: list[bytes] = []
        self.texts = self.floods = 0
        self._take = self.messages.append

    @override
    def _answer(self, library: Protocol) -> None:
        self.said += library.data_to_send()

    @override
    def _refuse_text(self) -> None:
        self.texts += 1

    @override
    def _refuse_flood(self) -> None:
        self.floods += 1

    def read(self, pieces: Iterable[bytes]) -> Reader:
        for piece in pieces:
            self.data_received(piece)
        return self


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


MESSAGES = [b"", b"x", b"y" * 125, b"z" * 126, b"w" * 127, b"m" * LIMIT, b"l" * LIMIT, b"last"]
EVERYTHING = b"".join(
    [
        *(frame(FIN | BINARY, message) for message in MESSAGES[:3]),
        frame(FIN | PING, b"are you there"),
        *(frame(FIN | BINARY, message) for message in MESSAGES[3:5]),
        frame(FIN | BINARY, MESSAGES[5], long=2),
        frame(BINARY, MESSAGES[6][:400]),
        frame(FIN | PONG, b"unasked"),
        frame(CONT),
        frame(FIN | CONT, MESSAGES[6][400:]),
        frame(FIN | BINARY, MESSAGES[7]),
        frame(FIN | CLOSE, b"\x03\xe9bye"),
        frame(FIN | BINARY, b"nothing follows a Close"),
    ]
)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 17, 130, 1003, 100_000])
def test_reads_of_any_size_bring_the_same(size: int) -> None:
    reader = Reader().read(cut(EVERYTHING, size))
    assert reader.messages == MESSAGES
    assert reader.said == [b"\x8a\x0dare you there", b"\x88\x05\x03\xe9bye", b""]


def test_nothing_is_kept_of_what_follows_a_close() -> None:
    begun = frame(FIN | CLOSE) + frame(FIN | BINARY, b"x") + b"\x82"
    reader = Reader().read([begun, bytes(LIMIT), bytes(LIMIT)])
    assert (reader.messages, bytes(reader._begun)) == ([], b"")


@pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("read", [4096, 1 << 18])
def test_a_message_of_any_size_is_whole(size: int, read: int) -> None:
    message = (bytes(range(251)) * 300)[:size]
    reader = Reader(70_000).read(cut(frame(FIN | BINARY, message) * 5, read))
    assert reader.messages == [message] * 5
    assert reader._library is None, "it would be in the memory of every connection"


frames = st.builds(
    frame,
    st.sampled_from(
        [FIN | BINARY] * 6
        + [BINARY, CONT, FIN | CONT] * 2
        + [
            FIN | PING,
            FIN | PONG,
            PING,
            FIN | CLOSE,
            0xC2,
            0xA2,
            0x92,
            0x83,
            0x8B,
            FIN | CONT | 0x40,
        ]
    ),
    st.binary(max_size=300)
    | st.sampled_from([bytes(126), bytes(LIMIT), bytes(LIMIT + 1), bytes(1 << 16)]),
    mask=st.sampled_from([b"abcd"] * 15 + [b""]),
    long=st.sampled_from([0, 0, 0, 1, 2]),
)


@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 400), max_size=12))
def test_whatever_comes_is_judged_as_the_library_judges_it(
    sent: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(sent)
    alone = Protocol(Side.SERVER, max_size=LIMIT)
    alone.receive_data(stream)
    pieces, rest = [], stream
    for size in cuts:
        pieces.append(rest[:size])
        rest = rest[size:]
    reader = Reader().read([*filter(None, pieces), rest] if rest else filter(None, pieces))
    assert reader.messages == joined(alone)
    assert reader.said == alone.data_to_send()


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_whatever_bytes_come_the_cuts_make_no_difference(stream: bytes, size: int) -> None:
    whole, pieces = Reader().read([stream] if stream else []), Reader().read(cut(stream, size))
    assert (whole.messages, whole.said, whole.texts) == (pieces.messages, pieces.said, pieces.texts)


def joined(library: Protocol) -> list[bytes]:
    """The binary messages that the library found."""
    messages, parts = [], b""
    for event in library.events_received():
        if isinstance(event, Frame) and event.opcode in (CONT, BINARY):
            parts += bytes(event.data)
            if event.fin:
                messages.append(parts)
                parts = b""
    return messages


BROKEN = {
    "reserved bit 1, of compression": (frame(0xC2, b"x"), 1002),
    "reserved bit 2": (frame(0xA2, b"x"), 1002),
    "reserved bit 3": (frame(0x92, b"x"), 1002),
    "unknown opcode": (frame(0x83, b"x"), 1002),
    "unknown control frame": (frame(0x8B), 1002),
    "no mask": (frame(FIN | BINARY, b"x", mask=b""), 1002),
    "no mask, control frame": (frame(FIN | PING, mask=b""), 1002),
    "continuation of nothing": (frame(FIN | CONT, b"x"), 1002),
    "a message within another": (frame(BINARY, b"x") + frame(FIN | BINARY, b"y"), 1002),
    "fragmented control frame": (frame(PING, b"x"), 1002),
    "control frame of 126 bytes": (frame(FIN | PING, bytes(126)), 1002),
    "half a close code": (frame(FIN | CLOSE, b"\x03"), 1002),
    "a close code of nobody": (frame(FIN | CLOSE, b"\x03\xec"), 1002),  # 1004
    "a close reason that is no text": (frame(FIN | CLOSE, b"\x03\xe8\xff"), 1007),
    "a Close within a message": (frame(BINARY, b"x") + frame(FIN | CLOSE), 1002),
    "too large": (frame(FIN | BINARY, bytes(LIMIT + 1)), 1009),
    "too large, in fragments": (frame(BINARY, bytes(LIMIT)) + frame(FIN | CONT, b"x"), 1009),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("size", [1, 1 << 16])
def test_a_broken_frame_has_its_close_code(sent: bytes, code: int, size: int) -> None:
    good = frame(FIN | BINARY, b"good")
    reader = Reader().read(cut(good + sent + good, size))
    assert reader.messages == [b"good"]
    close, end = reader.said
    assert (close[0], int.from_bytes(close[2:4]), end) == (FIN | CLOSE, code, b"")


def test_what_is_too_large_is_refused_by_its_header_alone() -> None:
    reader = Reader().read([b"\x82\xff" + (1 << 62).to_bytes(8) + b"mask"])
    assert int.from_bytes(reader.said[0][2:4]) == 1009
    reader.read([bytes(1 << 16)] * 10)
    assert not reader._begun


def test_what_follows_a_broken_frame_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader().read([frame(0x83), frame(0x83)])
    monkeypatch.setattr(Reader, "_begin", lambda *_: pytest.fail("two bytes at a time"))
    reader.read([bytes(1 << 16)] * 2)
    assert reader.messages == []


def test_a_text_message_is_told_of() -> None:
    reader = Reader().read([frame(FIN | BINARY, b"first") + frame(FIN | TEXT, b"hello")])
    assert (reader.messages, reader.texts) == ([b"first"], 1)


FLOODS = {
    "pings": (b"", frame(FIN | PING)),
    "pongs": (b"", frame(FIN | PONG, b"x")),
    "empty pieces": (frame(BINARY), frame(CONT)),
    "lengths in more bytes than they need": (b"", frame(FIN | BINARY, b"x", long=2)),
}


@pytest.mark.parametrize(("first", "one"), FLOODS.values(), ids=FLOODS)
def test_a_read_full_of_frames_that_are_no_whole_message_is_not_read_to_its_end(
    first: bytes, one: bytes
) -> None:
    reader = Reader().read([first, one * OTHERS_MAX, frame(FIN | PONG)])
    assert (reader.floods, reader._left) == (0, 0)
    answered = len(reader.said)
    reader.read([one * (OTHERS_MAX + 1), one * OTHERS_MAX, bytes(1 << 16)])
    assert reader.floods == 1
    assert reader.said[-2:] == [bytes((FIN | CLOSE, 2)) + CloseCode.TOO_FAST.to_bytes(2), b""]
    assert len(reader.said) - answered <= OTHERS_MAX + 2
    assert not reader._begun


def test_control_frames_and_fragments_leave_the_short_way_open() -> None:
    reader = Reader().read([EVERYTHING.split(frame(FIN | CLOSE, b"\x03\xe9bye"))[0]])
    assert reader._library is not None
    assert reader._library.state is OPEN
    assert not reader._theirs
