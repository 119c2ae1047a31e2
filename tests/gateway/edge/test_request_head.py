"""What stands before the body: targets, and headers."""

from __future__ import annotations

import asyncio

import pytest

from gateway.edge.refusal import HEAD_MAX
from gateway.edge.request import split_target
from gateway.edge.server import TARGET_MAX
from gateway.quiet_connection import UNFINISHED_MAX
from tests.gateway.edge.serving import Client, answer, edge, get
from tests.gateway.edge.test_request import post, refusal
from tests.gateway.edge.test_rules import CHUNKED, GET, read_all
from tests.gateway.exchange.asking import eventually


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a%2Fb/../c;d?x=%20&y=?", "/a%2Fb/../c;d", "x=%20&y=?"),
        ("/a+b?", "/a+b", ""),
        ("http://other:81/a%20b?q=1", "/a%20b", "q=1"),
        ("http://other?q", "/", "q"),
        ("//a//b", "//a//b", ""),
        ("/?u=http://x/", "/", "u=http://x/"),
    ],
)
async def test_path_and_query_stay_as_they_stood(target: str, path: str, query: str) -> None:
    async with edge(answer()) as it:
        await it.ask(get(target))
        (request,) = it.driver.requests
    assert (request.path, request.query) == (path, query)


def test_bytes_outside_ascii_are_percent_encoded() -> None:
    assert split_target("/\u00e4?\udcff%20") == ("/%C3%A4", "%FF%20")


async def test_requests_of_one_connection_have_their_own_headers_however_alike_they_are() -> None:
    asked = [
        ("/a", "X-Said: 1"),
        ("/b", "X-Said: 1"),
        ("/c", "X-Said: 2"),
        ("http://other:81/d", "X-Said: 2"),
        ("/e", "X-Said: 2"),
    ]
    async with edge(answer()) as it, Client(it.port) as client:
        for target, header in asked:
            client.send(get(target, header, "Connection: keep-alive"))
            await client.until(b"0\r\n\r\n")
        requests = it.driver.requests
    heard = [(one.path, one.header(b"host"), one.header(b"x-said")) for one in requests]
    assert heard == [
        ("/a", b"example", b"1"),
        ("/b", b"example", b"1"),
        ("/c", b"example", b"2"),
        ("/d", b"other:81", b"2"),
        ("/e", b"example", b"2"),
    ]
    assert len({one.trace_id for one in requests}) == len(asked)
    assert all(one.header(b"x-amzn-trace-id") == one.trace_id.encode() for one in requests)


def test_every_head_that_is_let_through_may_come_byte_by_byte() -> None:
    assert UNFINISHED_MAX > HEAD_MAX + TARGET_MAX


LONG = b"X: " + b"a" * 16_000 + b"\r\n"


async def test_a_head_that_does_not_end_is_refused_before_it_is_held() -> None:
    head = (GET + LONG * (UNFINISHED_MAX // len(LONG) + 1))[: UNFINISHED_MAX + 1]
    for before in (b"", post(b"abc", "Connection: keep-alive")):
        async with edge(read_all) as it, Client(it.port) as client:
            if before:
                client.send(before)
                await client.until(b"\r\n\r\nabc")
            for at in range(0, len(head), len(LONG)):
                client.send(head[at : at + len(LONG)])
                await asyncio.sleep(0)
            assert refusal(await client.rest())[0] == 431
            assert len(it.driver.requests) == bool(before)


async def test_trailers_that_do_not_end_break_their_body() -> None:
    async with edge(read_all) as it, Client(it.port) as client:
        client.send(CHUNKED)
        await eventually(lambda: it.driver.requests)
        client.send((b"0\r\n" + LONG * 9)[: UNFINISHED_MAX + 1])
        assert refusal(await client.rest())[0] == 400


async def test_headers_come_through_but_not_those_of_this_hop_nor_the_envelope() -> None:
    async with edge(answer()) as it:
        await it.ask(
            get(
                "/",
                "Connection: close, X-Local",
                "X-Local: 1",
                "Cookie: a=1",
                "TE: trailers",
                "X-Dialback: forged",
                "cookie: b=2",
                "X-Empty:",
            )
        )
        (request,) = it.driver.requests
    (_, exchange_id), *_ = it.driver.served
    assert request.headers[:7] == (
        (b"host", b"example"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"x-empty", b""),
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-port", b"80"),
    )
    assert [name for name, _ in request.headers[7:]] == [b"traceparent", b"x-amzn-trace-id"]
    assert request.header(b"x-amzn-trace-id") == request.trace_id.encode()
    assert exchange_id[:24] in request.trace_id
    assert request.header(b"cookie") == b"a=1"
    assert (request.method, request.version, request.scheme) == ("GET", "HTTP/1.1", "http")
    assert request.client_address == "127.0.0.1"


async def test_the_longest_route_serves() -> None:
    async with edge(answer()) as it:
        await it.ask(get("/chat/x"))
        await it.ask(get("/chatty"))
        assert [path for path, _ in it.driver.served] == ["/chat", "/"]
