"""Inputs written by hand: what an attacker would try first. They stay in the corpus whatever is merged."""

from __future__ import annotations

import struct

from protocol.codec import encode
from protocol.limits import MAX_INT
from tests.protocol.samples import SAMPLES

_ARRAY_256 = b"\xdc\x01\x00"

#: Short messages that ask a decoder for much memory, or hold what is never legal.
BOMBS = {
    "nested 1000 deep": b"\x91" * 1000,
    "nested arrays, each announcing 256": _ARRAY_256 * 400,
    "array32 of 2^32-1": b"\x91\xdd\xff\xff\xff\xff",
    "array32 as the frame": b"\xdd\xff\xff\xff\xff",
    "array16 of 65535": b"\xdc\xff\xff",
    "map32 of 2^32-1": b"\x91\xdf\xff\xff\xff\xff",
    "map16 of 65535": b"\x91\xde\xff\xff",
    "empty map": b"\x92\x10\x80",
    "bin32 of 2^32-1": b"\x94\x04\x01\x00\xc6\xff\xff\xff\xff",
    "str32 of 2^32-1": b"\x91\xdb\xff\xff\xff\xff",
    "ext32 of 2^32-1": b"\x91\xc9\xff\xff\xff\xff\x01",
    "fixext": b"\x92\x0a\xd4\x01\x00",
    "empty ext": b"\x92\x40\xc7\x00\x01",
    "timestamp": b"\x92\x40\xd6\xff\x00\x00\x00\x00",
    "str of bad UTF-8": b"\x95\x08\x01\x01\x05\xa4\xf0\x9f\x98\x00",
    "str of a surrogate": b"\x95\x08\x01\x01\x05\xa3\xed\xa0\x80",
    "negative number": b"\x92\x0a\xff",
    "int64 of -2^63": b"\x92\x0a\xd3\x80" + bytes(7),
    "uint64 of 2^64-1": b"\x92\x0a\xcf" + b"\xff" * 8,
    "NaN": b"\x92\x0a\xcb\x7f\xf8" + bytes(6),
    "a type of 4.0": b"\x94\xcb" + struct.pack(">d", 4.0) + b"\x01\x00\xc4\x01x",
    "a type of true": b"\x92\xc3\x00",
    "reserved byte": b"\x92\x0a\xc1",
    "bytes after the frame": b"\x91\x0c\x0c",
    "DATA that ends at 2^63": b"\x94\x04\x01\xcf" + MAX_INT.to_bytes(8, "big") + b"\xc4\x01x",
}

#: As many elements as fit a message of 64 KiB, none of them a byte string.
FLOODS = {
    "nested 66,000 deep": b"\x91" * 66_000,
    "nested arrays, each announcing 256": _ARRAY_256 * 22_000,
    "65,536 empty arrays": _ARRAY_256 + (_ARRAY_256 + b"\x90" * 256) * 254,
    "16,000 short strings": _ARRAY_256 + (_ARRAY_256 + b"\xa3\xe2\x82\xac" * 256) * 64,
    "65,000 numbers of two bytes": _ARRAY_256 + (_ARRAY_256 + b"\xcc\xff" * 256) * 127,
    "empty arrays behind a DATA": b"\x95\x04\x01\x00\xc4\x01x" + (_ARRAY_256 + b"\x90" * 256) * 254,
    "empty arrays as the sid of a DATA": b"\x94\x04" + (_ARRAY_256 + b"\x90" * 256) * 254,
}

HTTP_REQUESTS = (
    b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nContent-Length: 70\r\n\r\n" + b"x" * 70,
    b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nContent-Length: " + b"9" * 4400 + b"\r\n\r\n",
    b"POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nnocolon\r\n\r\n",
    b"GET /\r\n\r\n",
)

JSON_RESULTS = (
    b"",
    b"null",
    b"[" * 3000,
    b'{"a":' * 1000,
    b'{"statusCode":200,"body":"hi","headers":{"Content-Length":"2"}}',
    b'{"statusCode":200,"body":"aGk=","isBase64Encoded":true,"cookies":["a=1","b=2"]}',
    b'{"statusCode":200,"headers":{"a":"b\\r\\nc: d"}}',
    b'{"statusCode":200,"headers":{"a":"\\ud800"}}',
    b'{"statusCode":200,"headers":{"a":1e999,"b":-0.0,"c":true}}',
    b'{"statusCode":200,"headers":{"content-length":"1","Content-Length":"2"}}',
    b'{"statusCode":' + b"9" * 100 + b"}",
    b'{"statusCode":true}',
    b'{"errorType":"Sandbox.Timedout","errorMessage":"\\ud800"}',
)

#: What the fuzzer found once, as the decisions that led there.
FOUND = {
    # The last letter of a token differed only in bits that its base64 does not use.
    "token": (b"\x34" + b"\x8a" * 12 + b"\x20\x00\x3a",),
    # A line end in the token, which goes into a header of the upgrade.
    "envelope": (b"\x0a" + b"\x9d" * 26 + b"\x01\x0a",),
}


def seeds(name: str) -> list[bytes]:
    """The handwritten inputs of a target."""
    if name == "frames":
        return [*BOMBS.values(), *(encode(frame) for frame in SAMPLES)]
    if name == "http1":
        return [bytes([64]) + request for request in HTTP_REQUESTS]
    if name == "outcome":
        return [bytes([mode]) + result for result in JSON_RESULTS for mode in (0, 1)]
    return list(FOUND.get(name, ()))
