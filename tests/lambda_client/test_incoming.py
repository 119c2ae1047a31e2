"""What a socket gives, however it is cut into reads, beside `websockets` reading the same."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.uri import parse_uri
from websockets.utils import accept_key

from lambda_client.incoming import Incoming
from protocol.errors import CloseCode, RemoteProtocolError

LIMIT = 1000
CONT, TEXT, BINARY, CLOSE, PING, PONG, FIN = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA, 0x80


def frame(first: int, data: bytes = b"", masked: int = 0, *, long: bool = False) -> bytes:
    size = len(data)
    if long or size >= 1 << 16:
        return struct.pack("!BBQ", first, masked | 127, size) + data
    if size > 125:
        return struct.pack("!BBH", first, masked | 126, size) + data
    return bytes((first, masked | size)) + data


class Client:
    """A connection that has asked for its upgrade."""

    def __init__(self) -> None:
        self.library = ClientProtocol(parse_uri("ws://gateway.test/"), max_size=LIMIT)
        self._request = self.library.connect()
        self.library.send_request(self._request)
        self.library.data_to_send()
        self.answers = 0
        self._incoming = Incoming(self.library, LIMIT, self._answered)

    def _answered(self) -> None:
        self.answers += 1

    def take(self, data: bytes) -> list[bytes]:
        return [bytes(message) for message in self._incoming.messages(data)]

    def accepted(self) -> bytes:
        """The answer of a server that accepts."""
        return (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(self._request.headers['Sec-WebSocket-Key'])}\r\n\r\n"
        ).encode()


def open_client() -> Client:
    client = Client()
    assert client.take(client.accepted()) == []
    assert client.library.state is OPEN
    assert client.answers == 1
    return client


MESSAGES = [b"", b"x", b"y" * 125, b"z" * 126, b"m" * LIMIT, b"last"]
EVERYTHING = b"".join(
    [
        *(frame(FIN | BINARY, message) for message in MESSAGES[:3]),
        frame(FIN | PING, b"are you there"),
        frame(FIN | BINARY, MESSAGES[3], long=True),
        frame(BINARY, MESSAGES[4][:400]),
        frame(FIN | PONG, b"unasked"),
        frame(CONT),
        frame(FIN | CONT, MESSAGES[4][400:]),
        frame(FIN | BINARY, MESSAGES[5]),
        frame(FIN | CLOSE, b"\x03\xe9bye"),
        frame(FIN | BINARY, b"nothing follows a Close"),
    ]
)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 130, 10_000])
def test_reads_of_any_size_bring_the_same(size: int) -> None:
    client = Client()
    stream = client.accepted() + EVERYTHING
    messages: list[bytes] = []
    for at in range(0, len(stream), size):
        messages += client.take(stream[at : at + size])
    assert messages == MESSAGES
    assert client.answers == 1
    assert client.library.close_rcvd is not None
    assert client.library.close_rcvd.code == 1001
    assert len(client.library.data_to_send()) == 2, "a pong, and a Close for the Close"


frames = st.builds(
    frame,
    st.sampled_from(
        [FIN | BINARY] * 4 + [BINARY, CONT, FIN | CONT, FIN | PING, FIN | PONG, 0xC2, 0x83]
    ),
    st.binary(max_size=300) | st.sampled_from([bytes(LIMIT), bytes(LIMIT + 1)]),
    st.sampled_from([0, 0, 0, 0, 0, 0x80]),
    long=st.booleans(),
)


@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 400), max_size=12))
def test_whatever_comes_is_judged_as_the_library_judges_it(
    sent: list[bytes], cuts: list[int]
) -> None:
    alone, client = open_client().library, open_client()
    stream, messages = b"".join(sent), []
    alone.receive_data(stream)
    for cut in [*cuts, len(stream)]:
        messages += client.take(stream[:cut])
        stream = stream[cut:]
    assert messages == joined(alone)
    assert client.library.state is alone.state
    assert client.library.close_sent == alone.close_sent
    assert [len(data) for data in client.library.data_to_send()] == [
        len(data) for data in alone.data_to_send()
    ]


def joined(library: ClientProtocol) -> list[bytes]:
    """The binary messages that the library found."""
    messages, parts = [], b""
    for event in library.events_received():
        if isinstance(event, Frame) and event.opcode in (CONT, BINARY):
            parts += bytes(event.data)
            if event.fin:
                messages.append(parts)
                parts = b""
    return messages


def test_a_text_message_is_refused() -> None:
    client = open_client()
    with pytest.raises(RemoteProtocolError) as raised:
        client.take(frame(FIN | BINARY, b"first") + frame(FIN | TEXT, b"hello"))
    assert raised.value.close_code is CloseCode.UNSUPPORTED_DATA


@pytest.mark.parametrize("size", [1, 4, 50, 1000])
def test_a_refusal_is_read_whole(size: int) -> None:
    client = Client()
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\n\x82\x01no!\n"
    for at in range(0, len(answer), size):
        assert client.answers == 0
        assert client.take(answer[at : at + size]) == []
    assert client.answers == 1
    assert "401" in str(client.library.handshake_exc)


def test_after_our_own_close_nothing_is_taken() -> None:
    client = open_client()
    client.library.fail(1000)
    assert client.take(frame(FIN | BINARY, b"late")) == []
