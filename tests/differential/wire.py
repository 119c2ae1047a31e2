"""A request as bytes, and the answer as bytes: nothing between the test and the socket."""

from __future__ import annotations

import socket
from dataclasses import dataclass

SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """One response, as it came.

    Attributes:
        status: the status line.
        headers: (name, value) pairs in their order.
        content: the body, without chunk framing; or whatever came where there can be none.
        whole: whether it ended as its framing says it must.
    """

    status: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes
    whole: bool


def exchange(port: int, request: bytes, *, bodiless: bool) -> Answer:
    """Send a request on a connection of its own and read to the end of that.

    Args:
        port: on loopback.
        request: with ``Connection: close``.
        bodiless: the answer has no body, whatever its headers say (HEAD).
    """
    received, reset = bytearray(), False
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(request)
        try:
            while data := connection.recv(1 << 16):
                received += data
        except ConnectionResetError:
            reset = True
    return parse(bytes(received), reset=reset, bodiless=bodiless)


def parse(received: bytes, *, reset: bool, bodiless: bool) -> Answer:
    """Read one response, and nothing may follow it."""
    head, blank, rest = received.partition(b"\r\n\r\n")
    assert blank, f"no head: {received[:200]!r} (reset: {reset})"
    status, *lines = head.split(b"\r\n")
    headers = tuple(_header(line) for line in lines)
    named = {name.lower(): value for name, value in headers}
    code = int(status.split(b" ")[1])
    if bodiless or code in (204, 304):
        return Answer(status, headers, rest, not reset)
    if named.get(b"transfer-encoding") == b"chunked":
        assert b"content-length" not in named
        content, whole = _dechunk(rest)
    elif b"content-length" in named:
        content, whole = rest, len(rest) == int(named[b"content-length"])
    else:
        content, whole = rest, not reset
    return Answer(status, headers, content, whole)


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    assert colon, line
    return name, value.strip(b" \t")


def _dechunk(rest: bytes) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            return b"".join(parts), False
        size = int(line, 16)
        if size == 0:
            assert rest in (b"", b"\r\n"), f"after the last chunk: {rest[:100]!r}"
            return b"".join(parts), rest == b"\r\n"
        parts.append(rest[:size])
        if rest[size : size + 2] != b"\r\n":
            return b"".join(parts), False
        rest = rest[size + 2 :]
