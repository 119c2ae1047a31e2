"""The small HTTP reader of the Runtime API."""

from __future__ import annotations

import pytest

from gateway.invoke.local.http1 import BadHttp, Request, RequestReader
from gateway.invoke.local.limits import HEAD_MAX

GET = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nX-Name: content-length: 9\r\ncontent-LENGTH:  5 \r\n\r\nhello"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_requests_arrive_in_pieces_of_any_size(size: int) -> None:
    stream = GET + POST + GET
    reader = RequestReader(100)
    seen: list[Request] = []
    for start in range(0, len(stream), size):
        seen += reader.feed(stream[start : start + size])
    get = Request(b"GET", b"/next", b"")
    assert seen == [
        get,
        Request(b"POST", b"/x", b"hello"),
        get,
    ]


def test_a_request_without_a_body_may_come_again_and_again() -> None:
    reader = RequestReader(100)
    get, post = Request(b"GET", b"/next", b""), Request(b"POST", b"/x", b"hello")
    assert [reader.feed(GET) for _ in range(3)] == [[get]] * 3
    assert reader.feed(POST) == [post]
    assert reader.feed(GET + POST) == [get, post]
    assert reader.feed(GET) == [get]
    assert reader.feed(GET[:-2]) == []
    assert reader.feed(GET[-2:]) == [get]


def test_the_same_bytes_within_a_body_are_no_request() -> None:
    reader = RequestReader(100)
    reader.feed(GET)
    assert reader.feed(b"POST /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(GET)) == []
    assert reader.feed(GET) == [Request(b"POST", b"/x", GET)]


def test_a_body_over_the_limit_is_counted_and_not_kept() -> None:
    reader = RequestReader(4)
    [oversized, after] = reader.feed(POST + GET)
    assert oversized.body is None
    assert after.path == b"/next"


def test_a_peer_that_asks_before_sending_is_seen() -> None:
    reader = RequestReader(100)
    head = b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    assert reader.feed(head) == []
    assert reader.expects_continue


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET /\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 4301 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"x" * (HEAD_MAX + 1),
    ],
)
def test_what_no_runtime_sends_is_refused(head: bytes) -> None:
    with pytest.raises(BadHttp):
        RequestReader(100).feed(head)
