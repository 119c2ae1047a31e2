"""One frame of every kind, and hypothesis strategies that make any legal one."""

from __future__ import annotations

from hypothesis import strategies as st

from protocol.frames import (
    Attach,
    Attached,
    Cancel,
    Data,
    End,
    EndAck,
    Frame,
    Goaway,
    Head,
    Park,
    Ping,
    Pong,
    Reject,
    Reset,
    Window,
)
from protocol.limits import MAX_INT, Limits

SAMPLES: tuple[Frame, ...] = (
    Attach(1, bytes(range(16)), 1, 2, "v1.token", b"0123456789abcdef", 3, 4, 5, 6, 7),
    Attached(1, 10, 0xFFFFFFFF, 266, 3, 0, Limits()),
    Reject(1, 7, 1500, "busy", "wss://other.example"),
    Head(1, 200, ((b"content-type", b"text/plain"), (b"set-cookie", b"a=1"))),
    Data(1, 2**40, b"\x00\xff"),
    End(1, 5, 0x3610A686, ((b"x-sum", b"1"),), 1),
    EndAck(1, 5),
    Window(1, 5, 262149),
    Reset(1, 1, 5, "ValueError"),
    Cancel(1, 1, "client gone"),
    Ping(7),
    Pong(MAX_INT),
    Park(),
    Goaway(1, 25000, None),
)

number = st.integers(0, MAX_INT)
sid = st.integers(1, MAX_INT)
crc = st.integers(0, 2**32 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=256)
id16 = st.binary(min_size=16, max_size=16)
url = st.none() | text
pairs = st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), max_size=9).map(tuple)
limits = st.builds(Limits, st.integers(4096, 1 << 20), number, number, number, number)

any_frame: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Attach, sid, id16, sid, sid, text, id16, number, number, number, number, number),
    st.builds(Attached, sid, number, crc, number, number, number, limits),
    st.builds(Reject, sid, number, st.none() | number, text, url),
    st.builds(Head, sid, number, pairs, number),
    st.builds(Data, sid, st.integers(0, 2**62), st.binary(min_size=1, max_size=3000)),
    st.builds(End, sid, number, crc, pairs, number),
    st.builds(EndAck, sid, number),
    st.builds(Window, sid, number, number),
    st.builds(Reset, sid, number, number, text),
    st.builds(Cancel, sid, number, text),
    st.builds(Ping, number),
    st.builds(Pong, number),
    st.builds(Park),
    st.builds(Goaway, number, number, url),
)
