"""The cases, made from tables: what is asked, and what the application shall answer."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.differential.script import Script

if TYPE_CHECKING:
    from collections.abc import Iterator

KIB = 1024
EVERY_BYTE = bytes(range(256))


@dataclass(frozen=True)
class Case:
    """One request, and the script of its answer.

    Attributes:
        name: for the test's id.
        method: of the request.
        target: as it stands in the request line.
        headers: beside Host, Connection and the script.
        body: of the request.
        chunked: whether the body is framed by chunks; else by its length.
        script: the answer.
    """

    name: str
    method: str = "GET"
    target: str = "/"
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    body: bytes | None = None
    chunked: bool = False
    script: Script = field(default_factory=Script)

    @property
    def bodiless(self) -> bool:
        """Whether by HTTP's rules no body follows the answer."""
        return self.method == "HEAD" or self.script.status in (204, 304)

    @property
    def breaks(self) -> bool:
        """Whether the application fails once its answer has begun."""
        return self.script.failure == "middle" or self.script.length in ("short", "long")

    @property
    def request(self) -> bytes:
        lines = [
            f"{self.method} {self.target} HTTP/1.1".encode(),
            b"Host: example.org:8080",
            b"Connection: close",
            b"X-Script: " + self.script.to_header().encode(),
            *(name.encode() + b": " + value for name, value in self.headers),
        ]
        payload = self.body or b""
        if self.chunked:
            lines.append(b"Transfer-Encoding: chunked")
            half = len(payload) // 2
            parts = [part for part in (payload[:half], payload[half:]) if part]
            payload = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        elif self.body is not None:
            lines.append(b"Content-Length: %d" % len(payload))
        return b"\r\n".join(lines) + b"\r\n\r\n" + payload


# ---------------------------------------------------------------- requests

BODIES = {
    "none": None,
    "empty": b"",
    "text": "hällo".encode(),
    "bytes": EVERY_BYTE,
    "70 KiB": EVERY_BYTE * 280,
    "5 MiB": EVERY_BYTE * 20 * KIB,
}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"]
TARGETS = [
    "/",
    "/a/b/",
    "/a%20b",
    "/%C3%A9t%C3%A9",
    "/a%2Fb",
    "/a+b",
    "/a;b=c",
    "/~user/-._",
    "/!$&'()*,=:@",
    "/a/./b/../c",
    "/%e9",
    "/?",
    "/?x",
    "/?a=1&a=2&b=",
    "/?q=%C3%A9+x%20y",
    "/?a=b%26c&%3D=%3F",
    "/?a?b/c",
    "/p?" + "x" * 2000,
]
REQUEST_HEADERS: dict[str, list[tuple[str, bytes]]] = {
    "repeated": [("X-A", b"1"), ("x-a", b"2"), ("X-B", b"3")],
    "cookies": [("Cookie", b"a=1; b=2")],
    "cookies twice": [("Cookie", b"a=1"), ("Cookie", b"b=2")],
    "empty": [("X-A", b"")],
    "UTF-8": [("X-A", "café".encode())],
    "latin-1": [("X-A", "café".encode("latin-1"))],
    "long": [("X-A", b"x" * 6000)],
    "many": [(f"X-{n}", b"%d" % n) for n in range(50)],
    "odd name": [("X!#$%&'*+-.^`|~9", b"1")],
    "range": [("Range", b"bytes=0-99"), ("If-Range", b'"1"')],
    "conditional": [
        ("If-None-Match", b'"1", W/"2"'),
        ("If-Modified-Since", b"Sat, 21 Nov 2026 06:00:00 GMT"),
    ],
    "authorization": [("Authorization", b"Bearer abc=")],
    "accept": [
        ("Accept", b"text/html;q=0.9,*/*"),
        ("Accept-Encoding", b"gzip,br"),
        ("Accept-Language", b"de"),
    ],
    "origin": [("Origin", b"https://example.org"), ("Referer", b"https://example.org/a?b")],
    "type": [("Content-Type", b'multipart/form-data; boundary="x y"')],
}


def requests() -> Iterator[Case]:
    for method in METHODS:
        for name, body in BODIES.items():
            if (name == "5 MiB" and method != "POST") or (method == "OPTIONS" and name == "70 KiB"):
                continue
            yield Case(f"{method}, body {name}", method, body=body)
    for name, body in BODIES.items():
        if body is not None:
            yield Case(f"POST, chunked body {name}", "POST", body=body, chunked=True)
    for kind in (
        "application/json",
        "text/plain; charset=latin-1",
        "application/x-www-form-urlencoded",
    ):
        for name in ("text", "bytes"):
            headers = [("Content-Type", kind.encode())]
            yield Case(f"POST {kind}, body {name}", "POST", headers=headers, body=BODIES[name])
    for target in TARGETS:
        yield Case(f"target {target[:30]}", target=target)
    for name, headers in REQUEST_HEADERS.items():
        yield Case(f"request headers: {name}", headers=headers)


# ---------------------------------------------------------------- answers

STATUSES = [
    *(
        200,
        201,
        202,
        203,
        205,
        206,
        207,
        226,
        300,
        301,
        302,
        303,
        307,
        308,
        400,
        401,
        403,
        404,
        405,
    ),
    *(
        406,
        409,
        410,
        411,
        412,
        413,
        415,
        416,
        418,
        421,
        422,
        425,
        428,
        429,
        431,
        451,
        500,
        501,
        502,
    ),
    *(503, 504, 507, 511),
]
PIECES = {
    "nothing": [],
    "an empty piece": [0],
    "one piece": [5],
    "two pieces": [5, 6],
    "empty pieces between": [0, 5, 0, 6, 0],
    "a hundred pieces": [7] * 100,
    "64 KiB": [64 * KIB],
    "64 KiB and a byte": [64 * KIB + 1],
    "small, then large": [1, 300 * KIB],
    "1 MiB": [1024 * KIB],
    "a megabyte in pieces": [100_000] * 10,
}
ZIPPED = gzip.compress(b"x" * 1000, mtime=0)
ANSWER_HEADERS: dict[str, list[tuple[str, str]]] = {
    "repeated": [("x-a", "1"), ("x-b", "2"), ("x-a", "3")],
    "cookies": [
        ("set-cookie", "a=1; Path=/; HttpOnly"),
        ("set-cookie", "b=2, c"),
        ("set-cookie", "a=3"),
    ],
    "vary twice": [("vary", "accept"), ("vary", "origin")],
    "empty": [("x-a", "")],
    "UTF-8": [("x-a", "café".encode().decode("latin-1"))],
    "latin-1": [("x-a", "café")],
    "long": [("x-a", "x" * 5000)],
    "many": [(f"x-{n}", str(n)) for n in range(60)],
    "odd name": [("x!#$%&'*+-.^`|~9", "1")],
    "type": [("content-type", "text/html; charset=utf-8")],
    "validators": [("etag", 'W/"1"'), ("last-modified", "Sat, 21 Nov 2026 06:00:00 GMT")],
    "location": [("location", "/%C3%A9?a=b#c")],
    "encoding": [("content-encoding", "gzip"), ("vary", "accept-encoding")],
    "caching": [("cache-control", "no-store"), ("expires", "0"), ("age", "5")],
    "disposition": [("content-disposition", "attachment; filename*=UTF-8''%C3%A9.txt")],
    "security": [
        ("strict-transport-security", "max-age=1"),
        ("content-security-policy", "default-src 'self'"),
    ],
    "link": [("link", "</a>; rel=preload, </b>; rel=next")],
    "event stream": [("content-type", "text/event-stream")],
}


def answers() -> Iterator[Case]:
    for status in STATUSES:
        yield Case(f"status {status}", script=Script(status, sizes=[9]))
    for status in (204, 304):
        for length in ("none", "right"):
            yield Case(
                f"status {status}, length {length}", script=Script(status, sizes=[], length=length)
            )
    for name, sizes in PIECES.items():
        for length in ("right", "none"):
            for method in ("GET", "HEAD"):
                script = Script(sizes=sizes, length=length)  # type: ignore[arg-type]
                yield Case(f"{method} {name}, length {length}", method, script=script)
    for name, headers in ANSWER_HEADERS.items():
        yield Case(f"answer headers: {name}", script=Script(headers=headers, sizes=[5]))
    yield from ranges()
    yield from failures()


def ranges() -> Iterator[Case]:
    partial = [("content-range", "bytes 0-99/1000"), ("accept-ranges", "bytes")]
    asked = [("Range", b"bytes=0-99")]
    yield Case("a range", headers=asked, script=Script(206, partial, sizes=[100]))
    yield Case("a range of HEAD", "HEAD", headers=asked, script=Script(206, partial, sizes=[100]))
    several = [("content-type", "multipart/byteranges; boundary=x")]
    yield Case("ranges", headers=asked, script=Script(206, several, sizes=[50, 60]))
    yield Case(
        "no range", headers=asked, script=Script(416, [("content-range", "bytes */9")], sizes=[0])
    )
    yield Case("a range not taken", headers=asked, script=Script(200, sizes=[1000]))


def failures() -> Iterator[Case]:
    for method in ("GET", "HEAD", "POST"):
        yield Case(f"{method} fails before the head", method, script=Script(failure="before"))
    for length in ("right", "none"):
        for sizes in ([5], [100_000, 5], [1] * 20):
            script = Script(sizes=sizes, length=length, failure="middle")
            yield Case(
                f"fails after {len(sizes)} pieces of {sizes[0]}, length {length}", script=script
            )
    for sizes in ([9], [100_000, 5]):
        for length in ("long", "short"):
            script = Script(sizes=sizes, length=length)  # type: ignore[arg-type]
            yield Case(f"Content-Length too {length} for {len(sizes)} pieces", script=script)


CASES = [*requests(), *answers()]
