"""A route that compresses: when it does, what the client decodes of each write, and how it ends."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

from gateway.edge.compression import COMPRESS_MIN, accepts_gzip
from tests.gateway.edge.serving import PLAIN, answer, edge, get, sized, unchunk

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest, ResponseSink
    from protocol.headers import HeaderList
    from tests.gateway.edge.serving import Serve

TEXT = b"All work and no play makes Jack a dull boy.\n" * 40
TAKES_GZIP = "Accept-Encoding: gzip, deflate, br"
ETAG: HeaderList = (*PLAIN, (b"etag", b'"v1"'))


class Decoder:
    """A client that decodes what it has, as it comes.

    Attributes:
        whole: the trailer came, and its checksum and length are right.
    """

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)

    def feed(self, data: bytes) -> bytes:
        return self._inflate.decompress(data)

    @property
    def whole(self) -> bool:
        return self._inflate.eof


def headers_of(response: bytes) -> dict[str, list[str]]:
    """The headers of a response, by lower-case name, repeats in order."""
    found: dict[str, list[str]] = {}
    for line in response.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.decode("latin-1").partition(": ")
        found.setdefault(name.lower(), []).append(value)
    return found


async def response_to(serve: Serve, request: bytes, **route: Any) -> bytes:
    async with edge(serve, compress=True, **route) as it:
        return await it.ask(request)


def body_of(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


# ---------------------------------------------------------------- what the client takes


@pytest.mark.parametrize(
    ("values", "takes"),
    [
        ([], False),
        ([""], False),
        (["gzip"], True),
        (["x-gzip"], True),
        (["GZip;Q=0.5"], True),
        (["br", "gzip"], True),
        (["*"], True),
        (["br;q=1.0, gzip;q=0.8, *;q=0.1"], True),
        (["gzip;q=0"], False),
        (["gzip;q=0.000"], False),
        (["gzip;q=0, *"], False),
        (["*;q=0"], False),
        (["deflate, br"], False),
        (["identity"], False),
        (["identity, gzip;q=0.5"], False),
        (["identity;q=0.5, gzip;q=0.5"], True),
        (["identity;q=0"], False),  # nothing that it takes is to be had; better this than nothing
        (["gzip;q=high"], False),
        (["gzip;q=2"], False),
        (["gzip ; q=1"], True),
    ],
)
def test_accept_encoding(values: list[str], takes: bool) -> None:
    assert accepts_gzip(values) is takes


CODINGS = st.sampled_from(["gzip", "br", "deflate", "identity", "zstd", "*"])
WEIGHTS = st.sampled_from(["", ";q=0", ";q=0.3", "; q=0.7", ";q=1", ";q=1.000"])


@given(st.dictionaries(CODINGS, WEIGHTS))
def test_accept_encoding_is_read_as_werkzeug_reads_it(weights: dict[str, str]) -> None:
    value = ", ".join(coding + weight for coding, weight in weights.items())
    parsed = parse_accept_header(value, Accept)
    identity = parsed.quality("identity") if "identity" in weights else 0
    wanted = parsed.quality("gzip") > 0 and parsed.quality("gzip") >= identity
    assert accepts_gzip([value]) is wanted


# ---------------------------------------------------------------- which responses


async def test_a_compressed_response_says_so() -> None:
    headers = (*ETAG, (b"accept-ranges", b"bytes"), (b"vary", b"Origin"))
    response = await response_to(answer(TEXT, headers=headers), get("/", TAKES_GZIP))
    said = headers_of(response)
    assert said["content-encoding"] == ["gzip"]
    assert said["vary"] == ["Origin", "Accept-Encoding"]
    assert said["etag"] == ['W/"v1"']
    assert "content-length" not in said
    assert "accept-ranges" not in said
    body = b"".join(unchunk(body_of(response)))
    assert gzip.decompress(body) == TEXT
    assert len(body) < len(TEXT) / 10


@pytest.mark.parametrize(
    "kind",
    [
        "text/html; charset=utf-8",
        "Application/JSON",
        "application/problem+json",
        "image/svg+xml",
        "application/javascript",
        "application/x-ndjson",
        "text/event-stream",
    ],
)
async def test_text_of_all_kinds_is_compressed(kind: str) -> None:
    headers = ((b"content-type", kind.encode()),)
    response = await response_to(answer(TEXT, headers=headers), get("/", TAKES_GZIP))
    assert headers_of(response)["content-encoding"] == ["gzip"]


UNTOUCHED: dict[str, HeaderList] = {
    "an image": ((b"content-type", b"image/png"),),
    "bytes": ((b"content-type", b"application/octet-stream"),),
    "no type": (),
    "two types": (*PLAIN, *PLAIN),
    "coded by the function": (*PLAIN, (b"content-encoding", b"br")),
    "not to be coded": (*PLAIN, (b"content-encoding", b"identity")),
    "no-transform": (*PLAIN, (b"cache-control", b"public, No-Transform")),
    "a part": (*PLAIN, (b"content-range", b"bytes 0-9/100")),
    "a digest": (*PLAIN, (b"repr-digest", b"sha-256=:AAAA:")),
}


@pytest.mark.parametrize("headers", UNTOUCHED.values(), ids=UNTOUCHED)
async def test_what_is_none_of_ours_stays_as_it_is(headers: HeaderList) -> None:
    headers = (*headers, (b"etag", b'"v1"'))
    response = await response_to(answer(TEXT, headers=headers), get("/", TAKES_GZIP))
    said = headers_of(response)
    assert b"".join(unchunk(body_of(response))) == TEXT
    assert (said["etag"], "vary" in said) == (['"v1"'], False)
    assert (
        said.get("content-encoding")
        == [value.decode() for name, value in headers if name == b"content-encoding"]
        or "content-encoding" not in said
    )


@pytest.mark.parametrize("status", [204, 206, 304])
async def test_no_body_and_no_part_is_compressed(status: int) -> None:
    response = await response_to(answer(TEXT, headers=ETAG, status=status), get("/", TAKES_GZIP))
    assert "content-encoding" not in headers_of(response)
    assert body_of(response) == b"" or unchunk(body_of(response)) == [TEXT]


async def test_off_is_off() -> None:
    async with edge(answer(TEXT, headers=ETAG)) as it:
        said = headers_of(await it.ask(get("/", TAKES_GZIP)))
    assert (said["etag"], "vary" in said, "content-encoding" in said) == (['"v1"'], False, False)


@pytest.mark.parametrize("request_", [get(), get("/", "Accept-Encoding: br")])
async def test_who_takes_no_gzip_gets_the_bytes_and_caches_learn_of_it(request_: bytes) -> None:
    response = await response_to(answer(TEXT, headers=ETAG), request_)
    said = headers_of(response)
    assert b"".join(unchunk(body_of(response))) == TEXT
    assert (said["etag"], said["vary"]) == (['"v1"'], ["Accept-Encoding"])


@pytest.mark.parametrize("vary", [b"*", b"origin , ACCEPT-ENCODING"])
async def test_vary_is_said_once(vary: bytes) -> None:
    headers = (*PLAIN, (b"vary", vary))
    response = await response_to(answer(TEXT, headers=headers), get("/", TAKES_GZIP))
    assert headers_of(response)["vary"] == [vary.decode()]


async def test_http_1_0_keeps_the_length_that_tells_its_end() -> None:
    request = get("/", TAKES_GZIP, version="1.0")
    response = await response_to(sized(TEXT), request)
    said = headers_of(response)
    assert (said["content-length"], body_of(response)) == ([str(len(TEXT))], TEXT)
    assert said["vary"] == ["Accept-Encoding"]


@pytest.mark.parametrize(("size", "compressed"), [(COMPRESS_MIN - 1, False), (COMPRESS_MIN, True)])
async def test_what_fits_a_packet_is_left_alone(size: int, compressed: bool) -> None:
    said = headers_of(await response_to(sized(bytes(size)), get("/", TAKES_GZIP)))
    assert ("content-encoding" in said, "content-length" in said) == (compressed, not compressed)


async def test_head_says_what_get_says() -> None:
    heads = []
    for method in ("GET", "HEAD"):
        headers = (*ETAG, (b"content-length", b"%d" % len(TEXT)))
        serve = answer(TEXT, headers=headers)
        said = headers_of(await response_to(serve, get("/", TAKES_GZIP, method=method)))
        for name in ("date", "x-dialback-exchange", "transfer-encoding"):
            said.pop(name, None)
        heads.append(said)
    assert heads[0] == heads[1]
    assert heads[1]["content-encoding"] == ["gzip"]


@pytest.mark.parametrize(
    ("held", "named"), [('"v0", W/"v1"', 'W/"v1"'), ('"v1"', '"v1"'), ("*", '"v1"')]
)
async def test_a_304_names_what_the_client_holds_as_it_was_named(held: str, named: str) -> None:
    request = get("/", TAKES_GZIP, f"If-None-Match: {held}")
    said = headers_of(await response_to(answer(headers=ETAG, status=304), request))
    assert (said["etag"], said["vary"]) == ([named], ["Accept-Encoding"])


async def test_errors_of_the_gateway_are_as_ever() -> None:
    async def fail(request: EdgeRequest, sink: ResponseSink) -> None:
        raise RuntimeError("a bug")

    said = headers_of(await response_to(fail, get("/", TAKES_GZIP)))
    assert (said["content-type"], "content-encoding" in said) == (["application/json"], False)
