"""What user code returned, made into a head and a body; and the buffered answer. Pure.

The rules are those of Lambda Function URLs (AWS, "Invoking Lambda function URLs", response payload
format 2.0), so that a function answers alike with and without the gateway.
"""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
    from typing import BinaryIO

    from protocol.headers import HeaderList

    Payload = Callable[[int, HeaderList, bytes], dict[str, Any]]
    Streamed = Iterable[bytes | str] | AsyncIterable[bytes | str] | BinaryIO

STREAM_TYPE = "application/octet-stream"
"""Content-Type of a stream whose author named none (as AWS does for response streams)."""

BUFFERED_TYPE = "application/json"
"""Content-Type of a returned answer whose author named none (as Function URLs do)."""

_SEVERAL = (list, tuple)  # made once, and not for each header

BODILESS = frozenset({204, 304})
"""Statuses whose responses have no content to name a type of (RFC 9110 sections 15.3.5, 15.4.5)."""

FILE_CHUNK = 64 * 1024
"""Bytes read from a file at a time: one full DATA frame."""


def to_bytes(chunk: object) -> bytes:
    """Return one piece of a body as bytes; str becomes UTF-8.

    Raises:
        TypeError: it is neither text nor bytes.
    """
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, str):
        return chunk.encode()
    if isinstance(chunk, bytearray | memoryview):
        return bytes(chunk)
    raise TypeError(f"a response body is made of bytes or str, not {type(chunk).__name__}")


def head(metadata: Mapping[str, Any], default_type: str) -> tuple[int, HeaderList]:
    """Return status and header pairs of ``{"statusCode", "headers", "cookies"}``.

    Args:
        metadata: `statusCode` defaults to 200; header values are str (or bytes), or a list of str for a header
            that repeats; each cookie becomes one Set-Cookie. `multiValueHeaders`, of payload 1.0, count before
            `headers` of the same name, as for API Gateway.
        default_type: the Content-Type to add when there is none.

    Raises:
        TypeError: headers or cookies have another shape.
        ValueError: `statusCode` is no number.
    """
    headers = metadata.get("headers") or {}
    several = metadata.get("multiValueHeaders") or {}
    cookies = metadata.get("cookies") or []
    if not hasattr(headers, "items") or not hasattr(several, "items") or isinstance(cookies, str):
        raise TypeError("'headers' and 'multiValueHeaders' are dicts and 'cookies' a list of str")
    pairs = _pairs(headers)
    if several:
        more = _pairs(several)
        named = dict(more)
        pairs = [pair for pair in pairs if pair[0] not in named] + more
    pairs += zip(repeat(b"set-cookie"), [_field(cookie, "cookies") for cookie in cookies])
    given = metadata.get("statusCode")
    status = 200 if given is None else int(given)
    if status not in BODILESS and b"content-type" not in dict(pairs):
        pairs.append((b"content-type", default_type.encode()))
    return status, tuple(pairs)


def _pairs(headers: Mapping[Any, Any]) -> list[tuple[bytes, bytes]]:
    pairs: list[tuple[bytes, bytes]] = []
    for name, value in headers.items():
        key = _field(name, "headers").lower()
        if isinstance(value, _SEVERAL):
            pairs += [(key, _field(item, name)) for item in value]
        else:
            pairs.append((key, _field(value, name)))
    return pairs


def _field(value: object, what: object) -> bytes:
    """Return what goes into a head, where a Function URL would take it."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"true" if value else b"false"  # as in JSON
    if isinstance(value, int | float | Decimal):
        return str(value).encode()
    raise TypeError(f"in a response's head: {what!r} is a str, not {type(value).__name__}")


def to_json(value: object) -> bytes:
    """Return a value as JSON, as the runtime itself would (it takes Decimal for a number too)."""
    return json.dumps(value, default=_number, ensure_ascii=False).encode()


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} cannot be returned as JSON")


def is_response(value: object) -> bool:
    """Tell whether a handler's return value is a response, rather than JSON to be sent as it is.

    It is one if it has a `statusCode`, or a `body` that JSON could not carry anyway.
    """
    if not isinstance(value, dict):
        return False
    body = value.get("body")
    return "statusCode" in value or (
        "body" in value and not isinstance(body, str | int | float | list | dict | None)
    )


def body_of(response: Mapping[str, Any]) -> bytes | Streamed:
    """Return the body of a response dict: bytes when it is all there, else what is to be streamed.

    Raises:
        TypeError: the body is none of str, bytes, an iterable, an async iterable, a binary file.
    """
    body = response.get("body")
    if body is None:
        return b""
    if isinstance(body, str) and response.get("isBase64Encoded"):
        return base64.b64decode(body)
    if isinstance(body, str | bytes | bytearray | memoryview):
        return to_bytes(body)
    streams = any(hasattr(body, name) for name in ("read", "__aiter__", "__iter__"))
    if not streams or isinstance(body, dict):
        raise TypeError(
            "'body' is a str, bytes, an iterable, an async iterable or a binary file,"
            f" not {type(body).__name__}"
        )
    return body  # type: ignore[no-any-return]


def file_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield what an open binary file holds, as it comes, in chunks of `FILE_CHUNK` bytes at most.

    Raises:
        BlockingIOError: it does not wait for its bytes (a pipe that was set non-blocking).
        EOFError: it is the answer of another server, which broke off.
    """
    # Who writes into a pipe, or answers a request, need not fill a chunk.
    read_soon = getattr(file, "read1", file.read)
    # Nothing is no end to `read1` of a file that does not wait; `read` tells it from one.
    while chunk := read_soon(FILE_CHUNK) or file.read(1):
        yield chunk
    if chunk is None:
        raise BlockingIOError(f"a file as 'body' has to wait for its bytes: {file!r} does not")
    if missing := _missing(file):
        raise EOFError(f"an answer as 'body' broke off: {missing} bytes of it did not come")


def _missing(file: object) -> int:
    """Return the bytes that the standard library's answer still waits for: where it is cut it just ends."""
    return getattr(file, "length", 0) or 0 if type(file).__module__ == "http.client" else 0


def payload_for(event: object) -> Payload:
    """Return what makes the buffered answer to an event, in the format of whoever sent it."""
    if not isinstance(event, dict) or "httpMethod" not in event:
        return payload
    balanced = "elb" in (event.get("requestContext") or {})
    return payload_1_single if balanced and "multiValueHeaders" not in event else payload_1


def payload(status: int, headers: HeaderList, body: bytes) -> dict[str, Any]:
    """Return a buffered payload 2.0 response; a body that is not UTF-8 text travels as base64."""
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in _texts(headers):
        if name == "set-cookie":
            cookies.append(value)
        else:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    answer = {"statusCode": status, "headers": joined, **_body_fields(body)}
    if cookies:
        answer["cookies"] = cookies
    return answer


def payload_1(status: int, headers: HeaderList, body: bytes) -> dict[str, Any]:
    """Return a buffered payload 1.0 response, as REST APIs and load balancers take it."""
    several: dict[str, list[str]] = {}
    for name, value in _texts(headers):
        several.setdefault(name, []).append(value)
    return {"statusCode": status, "multiValueHeaders": several, **_body_fields(body)}


def payload_1_single(status: int, headers: HeaderList, body: bytes) -> dict[str, Any]:
    """Return a response for a load balancer whose target group has no multi-value headers.

    It sends on one value for each name, and tells names by their exact spelling: so cookies are kept
    apart by their letters' case.
    """
    answer = payload(status, headers, body)
    for number, cookie in enumerate(answer.pop("cookies", [])):
        answer["headers"][_spelling("set-cookie", number)] = cookie
    return answer


def _spelling(name: str, number: int) -> str:
    """Return the name in one of its many cases: bit n of `number` raises its nth letter."""
    letters = [place for place, letter in enumerate(name) if letter.isalpha()]
    raised = {place for bit, place in enumerate(letters) if number >> bit & 1}
    return "".join(c.upper() if place in raised else c for place, c in enumerate(name))


def _texts(headers: HeaderList) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        try:
            yield name.decode("latin-1"), value.decode()
        except UnicodeDecodeError:
            yield name.decode("latin-1"), value.decode("latin-1")


def _body_fields(body: bytes) -> dict[str, Any]:
    try:
        return {"body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
