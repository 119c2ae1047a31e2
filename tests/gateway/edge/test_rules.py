"""HTTP/1 as its readers differ about it: one table of raw requests, and what becomes of each.

Whatever could be read in two ways is answered once, and closed: what follows it on the connection is
never a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.edge.refusal import HEAD_MAX
from gateway.edge.server import FIELD_MAX, HEADERS_MAX, TARGET_MAX
from protocol.limits import MAX_INT
from tests.gateway.edge.serving import PLAIN, Client, answer, edge, get
from tests.gateway.edge.test_request import SMUGGLED, refusal

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink
    from protocol.headers import HeaderList

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


async def read_all(request: EdgeRequest, sink: ResponseSink) -> None:
    body, _ = await request.body.read_up_to(2**20)
    sink.begin(200, PLAIN, length=len(body))
    sink.write([body])
    sink.end()


ADDED = (b"x-forwarded-", b"forwarded", b"x-amzn-trace-id", b"traceparent")


def sent(request: EdgeRequest) -> HeaderList:
    """The headers without those by which the gateway says where a request came from."""
    return tuple(pair for pair in request.headers if not pair[0].startswith(ADDED))


REFUSED = {
    # the request line
    "HTTP/0.9": (400, b"GET /\r\n"),
    "HTTP/0.9, and nothing behind it": (400, b"GET /\r\n\r\n"),
    "HTTP/2.0": (400, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/1.2": (400, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    "HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "unknown method": (400, b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "method in lower case": (400, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "tab in request line": (400, b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space in target": (400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "control character in target": (400, b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "byte outside ASCII in target": (400, b"GET /caf\xe9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "fragment behind a path": (400, b"GET /guarded#x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "fragment behind a query": (400, b"GET /?a=b#c HTTP/1.1\r\nHost: a\r\n\r\n"),
    "fragment of an absolute target": (400, b"GET http://a/#x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "target too long": (414, b"GET /" + b"a" * TARGET_MAX + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    # host
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "no host beside an absolute target": (400, b"GET http://a/ HTTP/1.1\r\n\r\n"),
    "host with a space": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "host with a path": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "host with a user": (400, b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    # lines and fields
    "bare LF": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bare LF in a header": (400, b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    "bare CR in a value": (400, GET + b"X: a\rb\r\n\r\n"),
    "blank before the first header": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "control character in a value": (400, GET + b"X: a\x01b\r\n\r\n"),
    "control character in a name": (400, GET + b"X\x0b: a\r\n\r\n"),
    "name of nothing": (400, GET + b": a\r\n\r\n"),
    "no colon": (400, GET + b"abc\r\n\r\n"),
    "value too long": (431, GET + b"X: " + b"a" * (FIELD_MAX + 1) + b"\r\n\r\n"),
    "name too long": (431, GET + b"a" * (FIELD_MAX + 1) + b": 1\r\n\r\n"),
    "too many headers": (431, GET + b"X: 1\r\n" * HEADERS_MAX + b"\r\n"),
    "too much of headers": (431, GET + (b"X: " + b"a" * 8187 + b"\r\n") * 8 + b"\r\n"),
    # Content-Length
    "hexadecimal length": (400, POST + b"Content-Length: 0x5\r\n\r\n12345"),
    "length with underscore": (400, POST + b"Content-Length: 1_0\r\n\r\n1234567890"),
    "length of nothing": (400, POST + b"Content-Length:\r\n\r\n"),
    "the same length twice": (400, POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n12345"),
    "list of one length": (400, POST + b"Content-Length: 5, 5\r\n\r\n12345"),
    "length with a space": (400, POST + b"Content-Length: 1 0\r\n\r\n1234567890"),
    "space before the colon": (400, POST + b"Content-Length : 5\r\n\r\n12345"),
    "length beyond 64 bits": (400, POST + b"Content-Length: 99999999999999999999\r\n\r\n"),
    "length beyond what offsets count": (413, POST + b"Content-Length: %d\r\n\r\n" % (MAX_INT + 1)),
    "longest length of 64 bits": (413, POST + b"Content-Length: %d\r\n\r\n" % (2**64 - 1)),
    "length in other digits": (400, POST + "Content-Length: \uff15\r\n\r\n12345".encode()),
    # Transfer-Encoding
    "coding in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST),
    "coding and length": (400, POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST),
    "chunked twice": (400, POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + LAST),
    "two codings": (400, POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + LAST),
    "coding behind a control": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + LAST),
    "quoted coding": (400, POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + LAST),
    "coding with a parameter": (400, POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n" + LAST),
    "coding of nothing": (400, POST + b"Transfer-Encoding:\r\n\r\n" + LAST),
    "identity": (400, POST + b"Transfer-Encoding: identity\r\n\r\n"),
    "gzip before chunked": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST),
    # chunks
    "chunk size with a prefix": (400, CHUNKED + b"0x3\r\nabc\r\n" + LAST),
    "signed chunk size": (400, CHUNKED + b"+3\r\nabc\r\n" + LAST),
    "blank behind a chunk size": (400, CHUNKED + b"3 \r\nabc\r\n" + LAST),
    "blank before a chunk size": (400, CHUNKED + b" 3\r\nabc\r\n" + LAST),
    "chunk lines that end with LF": (400, CHUNKED + b"3\nabc\n0\n\n"),
    "extension that ends with LF": (400, CHUNKED + b"3;a=b\nabc\r\n" + LAST),
    "chunk size beyond 64 bits": (400, CHUNKED + b"FFFFFFFFFFFFFFFF1\r\nabc\r\n" + LAST),
    "chunk longer than it says": (400, CHUNKED + b"2\r\nabc\r\n" + LAST),
    "length among the trailers": (400, CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 7\r\n\r\n"),
}  # fmt: skip


@pytest.mark.fault(56)
@pytest.mark.parametrize(("status", "request_bytes"), REFUSED.values(), ids=REFUSED)
async def test_refused_once_and_closed(status: int, request_bytes: bytes) -> None:
    async with edge(read_all) as it:
        response = await it.ask(request_bytes + SMUGGLED)  # to the end of the connection
        assert refusal(response)[0] == status
        assert response.count(b"HTTP/1.") == 1
        assert "/smuggled" not in [request.path for request in it.driver.requests]
        counted = f'dialback_edge_refusals_total{{status="{status}"}} 1.0'.encode()
        assert counted in it.telemetry.render() or it.driver.requests


PASSED = {
    "empty lines before a request": (b"\r\n\r\n" + GET + b"\r\n", b""),
    "an empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b""),
    "an IPv6 host": (b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", b""),
    "leading zeros": (POST + b"Content-Length: 0005\r\n\r\n12345", b"12345"),
    "more zeros than Python reads": (POST + b"Content-Length: " + b"0" * 5000 + b"5\r\n\r\n12345", b"12345"),
    "a body of a GET": (GET + b"Content-Length: 5\r\n\r\n12345", b"12345"),
    "another case of chunked": (POST + b"Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n" + LAST, b"a"),
    "chunk extensions": (CHUNKED + b'3;a=b;c="d"\r\nabc\r\n' + LAST, b"abc"),
    "chunk sizes in both cases": (CHUNKED + b"0a\r\n0123456789\r\n00A\r\n0123456789\r\n" + LAST, b"0123456789" * 2),
    "the longest target": (b"GET /" + b"a" * (TARGET_MAX - 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n", b""),
    "the longest value": (GET + b"X: " + b"a" * FIELD_MAX + b"\r\n\r\n", b""),
    "the most headers": (GET + b"X: 1\r\n" * (HEADERS_MAX - 1) + b"\r\n", b""),
    "an expectation of something else": (POST + b"Expect: 200-ok\r\nContent-Length: 0\r\n\r\n", b""),
    "a newer method": (b"QUERY / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na", b"a"),
}  # fmt: skip


@pytest.mark.parametrize(("request_bytes", "body"), PASSED.values(), ids=PASSED)
async def test_passed_on_and_the_next_request_as_well(request_bytes: bytes, body: bytes) -> None:
    async with edge(read_all) as it, Client(it.port) as client:
        client.send(request_bytes)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert await client.exactly(len(body)) == body
        client.send(get("/next"))
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert it.driver.requests[-1].path == "/next"


async def test_headers_that_are_just_not_too_much() -> None:
    line = b"X: " + b"a" * 8187 + b"\r\n"
    room = HEAD_MAX - len(b"Host: a\r\n") - 7 * len(line) - len(b"Y: \r\n")
    for more, status in ((0, b"200"), (1, b"431")):
        request = GET + line * 7 + b"Y: " + b"b" * (room + more) + b"\r\n\r\n"
        async with edge(read_all) as it, Client(it.port) as client:
            client.send(request)
            assert (await client.head()).split(b" ")[1] == status


async def test_the_host_of_an_absolute_target_counts() -> None:
    async with edge(read_all) as it:
        await it.ask(get("http://other:81/path?q", "X-A: 1"))
        (request,) = it.driver.requests
    assert sent(request) == ((b"host", b"other:81"), (b"x-a", b"1"))
    assert (request.path, request.query) == ("/path", "q")


async def test_a_client_cannot_take_the_host_away() -> None:
    async with edge(read_all) as it:
        await it.ask(get("/", "Connection: close, Host, X-A", "X-A: 1"))
        (request,) = it.driver.requests
    assert sent(request) == ((b"host", b"example"),)


async def test_values_keep_their_bytes_in_both_directions() -> None:
    headers: HeaderList = ((b"x-a", b"caf\xe9"), (b"x-b", b"caf\xc3\xa9"), (b"x-a", b"\xff"))
    async with edge(answer(headers=headers)) as it:
        request = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: caf\xe9\r\nX-B: caf\xc3\xa9\r\nX-A: \xff\r\n"
        response = await it.ask(request + b"Connection: close\r\n\r\n")
        assert sent(it.driver.requests[0])[1:] == headers
    lines = response.split(b"\r\n")
    assert [line for line in lines if line.startswith(b"x-") and b"exchange" not in line] == [
        b"x-a: caf\xe9",
        b"x-b: caf\xc3\xa9",
        b"x-a: \xff",
    ]


# ---------------------------------------------------------------- what no proxy may touch

UNTOUCHED_REQUEST = (
    "Range: bytes=0-4",
    'If-Range: "v1"',
    'If-None-Match: W/"v1", "v2"',
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
    "Accept-Encoding: gzip;q=1.0, br",
    "Cache-Control: no-cache",
    "Via: 1.1 cdn",
    "Accept: a",
    "Accept: b",
)
UNTOUCHED_RESPONSE: HeaderList = (
    (b"content-type", b"text/html"),
    (b"content-range", b"bytes 0-4/10"),
    (b"content-encoding", b"gzip"),
    (b"etag", b'W/"v1"'),
    (b"vary", b"accept"),
    (b"vary", b"accept-encoding"),
    (b"warning", b"first"),
    (b"server", b"theirs"),
    (b"age", b"7"),
)


async def test_ranges_conditions_and_codings_are_between_client_and_function() -> None:
    coded = b"\x1f\x8b no real gzip"
    async with edge(answer(coded, headers=UNTOUCHED_RESPONSE, status=206)) as it:
        response = await it.ask(get("/", *UNTOUCHED_REQUEST))
        asked = sent(it.driver.requests[0])[1:]
    head, _, body = response.partition(b"\r\n\r\n")
    assert asked == tuple(
        (name.lower().encode(), value.encode())
        for name, value in (line.split(": ", 1) for line in UNTOUCHED_REQUEST)
    )
    assert head.startswith(b"HTTP/1.1 206 Partial Content\r\n")
    lines = [name + b": " + value for name, value in UNTOUCHED_RESPONSE]
    assert head.split(b"\r\n")[1 : len(lines) + 1] == lines
    assert coded in body


@pytest.mark.parametrize(
    "status", [200, 201, 205, 206, 226, 300, 301, 303, 307, 308, 400, 404, 418, 421, 451, 500, 599]
)
async def test_every_status_keeps_its_body_and_the_connection(status: int) -> None:
    async with edge(answer(b"body", status=status)) as it, Client(it.port) as client:
        client.send(get("/", "Connection: keep-alive") + get("/next"))
        assert (await client.head()).startswith(b"HTTP/1.1 %d " % status)
        assert await client.until(LAST) == b"4\r\nbody\r\n" + LAST
        assert (await client.head()).startswith(b"HTTP/1.1 %d " % status)
