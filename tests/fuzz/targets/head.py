"""The head check: whatever passes can be written as an HTTP head, and the edge's own check agrees."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpResponseParser
from aiohttp.http_writer import HttpVersion, HttpVersion10, HttpVersion11

from gateway.edge.response import Sink
from protocol.headers import HeaderList, HeadError, check_head
from protocol.limits import MAX_HEAD_SIZE, MAX_HEADER_SIZE, MAX_HEADERS
from tests.fuzz.choices import Choices

if TYPE_CHECKING:
    from gateway.edge.client_request import ClientRequest
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_NAMES = (
    b"x",
    b"Content-Length",
    b"content-length",
    b"Transfer-Encoding",
    b"Connection",
    b"Content-Type",
    b"Set-Cookie",
    b"Date",
    b"X-Dialback-Exchange",
    b"",
    b"a b",
    b"a:",
)
_VALUES = (
    b"",
    b"5",
    b"+5",
    b"5, 5",
    b"0" * 19,
    b"chunked",
    b"close, content-length",
    b"text/event-stream",
    b"a\r\nb: c",
    b"\x00",
    b"\xff",
    b" \t ",
)
_STATUSES = (200, 204, 304, 404, 599, 100, 199, 600, 0, -1)
_OURS = {b"content-length", b"transfer-encoding", b"connection", b"x-dialback-exchange"}
_HOP_BY_HOP = {b"keep-alive", b"te", b"trailer", b"upgrade", b"proxy-connection", b"connection"}
_LOOP = asyncio.new_event_loop()


class Kept:
    """A connection that takes further requests."""

    closing = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a `Sink` wants to know of a request before it writes anything."""

    method: str
    version: HttpVersion
    keep_alive: bool
    transport: None = None
    connection: ClassVar = Kept()


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    asked = Asked(
        method=choices.pick(("GET", "HEAD")),
        version=choices.pick((HttpVersion11, HttpVersion10)),
        keep_alive=choices.flag(),
    )
    status, headers = read_head(choices)
    try:
        checked = check_head(status, headers)
    except HeadError as error:
        assert str(error).isprintable(), "the reason goes to the log"
        return
    require_safe(status, checked)
    require_rendered(status, checked, asked)


def read_head(choices: Choices) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Make up a head."""
    status = choices.pick(_STATUSES) if choices.flag() else choices.below(1000)
    headers = []
    while choices.left:
        name = choices.pick(_NAMES) if choices.flag() else choices.some(16)
        value = choices.pick(_VALUES) if choices.flag() else choices.some(32)
        headers.append((name, value * choices.pick((1, 1, 1, 1, 600, 3000))))
    return status, headers


def require_safe(status: int, checked: HeaderList) -> None:
    """What a checked head promises, written again without its code."""
    assert 200 <= status <= 599
    for name, value in checked:
        assert name, "an empty name"
        assert set(name) <= _TOKEN, name
        assert name not in _HOP_BY_HOP | {b"transfer-encoding"}, name
        assert not {*value} & {*b"\r\n\0"}, value
        assert value == value.strip(b" \t"), value
        assert len(name) + len(value) <= MAX_HEADER_SIZE
    lengths = [value for name, value in checked if name == b"content-length"]
    assert len(lengths) < 2
    assert all(re.fullmatch(rb"[0-9]{1,18}", value) for value in lengths)
    assert len(checked) <= MAX_HEADERS
    assert sum(len(name) + len(value) for name, value in checked) <= MAX_HEAD_SIZE
    assert check_head(status, checked) == checked


def require_rendered(status: int, checked: HeaderList, asked: Asked) -> None:
    """Render the head, and read it as a client would."""
    head = _LOOP.run_until_complete(_render(status, checked, asked))
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert re.fullmatch(rb"HTTP/1\.[01] %d [ -~]+" % status, first), first
    parts = [line.partition(b": ") for line in lines]
    sent = [(name, value) for name, _, value in parts]
    names = [name.lower() for name, _ in sent]
    wanted = Counter(pair for pair in checked if pair[0] not in _OURS)
    assert not wanted - Counter(sent), "a header is missing, or another one"
    assert len(sent) - wanted.total() <= 6, "headers that nobody asked for"
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert names.count(b"x-dialback-exchange") == 1
    _require_understood(head, checked)


async def _render(status: int, checked: HeaderList, asked: Asked) -> bytes:
    sink = Sink(cast("ClientRequest", asked), "0" * 32)
    sink.begin(status, checked, length=None)
    return b"".join(sink._held)


def _require_understood(head: bytes, checked: HeaderList) -> None:
    """A real client's parser finds one response, with the headers that the function gave."""
    parser = HttpResponseParser(
        protocol=BaseProtocol(_LOOP),
        loop=_LOOP,
        limit=2**16,
        max_line_size=2 * MAX_HEADER_SIZE,
        max_field_size=2 * MAX_HEADER_SIZE,
        read_until_eof=True,
    )
    messages, upgraded, rest = parser.feed_data(head)
    assert len(messages) == 1
    assert not upgraded
    assert not rest
    got = Counter((name.lower(), value) for name, value in messages[0][0].raw_headers)
    wanted = Counter(pair for pair in checked if pair[0] not in _OURS)
    assert not wanted - got
