"""What a function returned, read as a Function URL reads it.

After AWS's documents (Lambda developer guide, "Invoking Lambda function URLs", response payload
format): an object with ``statusCode`` is a payload 2.0 response; any other JSON value is itself the
body of a 200 ``application/json``. ``multiValueHeaders`` is ignored, as Function URLs do.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.errors import FunctionFailed
from protocol.headers import HeadError, check_head

if TYPE_CHECKING:
    from protocol.headers import HeaderList

_JSON_TYPE = (b"content-type", b"application/json")
_RECEIPT_KEY = "dialback"


@dataclass(frozen=True, slots=True)
class BufferedResponse:
    """A whole HTTP response.

    Attributes:
        status: 200 to 599.
        headers: checked pairs. ``content-length`` is among them only when the body is empty, where
            it may describe the answer to a HEAD request.
        body: the response's bytes.
    """

    status: int
    headers: HeaderList
    body: bytes


@dataclass(frozen=True, slots=True)
class PossibleReceipt:
    """An object whose only key is ``dialback``: `protocol.receipt` decides whether it is a receipt.

    Attributes:
        value: the whole parsed object.
        payload: the JSON bytes it came from, for `plain_json` if it turns out to be none.
    """

    value: dict[str, Any]
    payload: bytes


def parse_result(payload: bytes) -> BufferedResponse | PossibleReceipt:
    """Read a function's return value, parsing the JSON once.

    Args:
        payload: the JSON bytes that the invoke returned.

    Raises:
        FunctionFailed: it is no JSON, or a payload 2.0 response of a wrong shape. The detail names
            what is wrong.
    """
    try:
        value = msgspec.json.decode(payload) if payload else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FunctionFailed(f"the function's result is not JSON: {error}") from None
    if isinstance(value, dict):
        if "statusCode" in value:
            return _payload_response(value)
        if len(value) == 1 and isinstance(value.get(_RECEIPT_KEY), dict):
            return PossibleReceipt(value, payload)
    return plain_json(payload)


def plain_json(payload: bytes) -> BufferedResponse:
    """Return the answer for a result that is no payload 2.0 response: the JSON itself."""
    return BufferedResponse(200, (_JSON_TYPE,), payload or b"null")


def _payload_response(value: dict[str, Any]) -> BufferedResponse:
    status = value["statusCode"]
    if type(status) is not int or not 200 <= status <= 599:
        raise FunctionFailed(f"statusCode must be an integer from 200 to 599, not {_show(status)}")
    body = _body(value.get("body"), value.get("isBase64Encoded"))
    pairs = _headers(value.get("headers")) + _cookies(value.get("cookies"))
    try:
        headers = check_head(status, tuple(pairs))
    except HeadError as error:
        raise FunctionFailed(f"the function's response head is not valid: {error}") from None
    return BufferedResponse(status, _completed(headers, body), body)


def _completed(headers: HeaderList, body: bytes) -> HeaderList:
    if body:
        headers = tuple(pair for pair in headers if pair[0] != b"content-length")
    if any(name == b"content-type" for name, _ in headers):
        return headers
    return (_JSON_TYPE, *headers)


def _headers(value: object) -> list[tuple[bytes, bytes]]:
    if value is None:
        return []
    if not isinstance(value, dict):
        raise FunctionFailed(f"headers must be an object, not {_show(value)}")
    return [(name.encode(), _header_value(name, item)) for name, item in value.items()]


def _header_value(name: str, value: object) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, str | int | float):
        return str(value).encode()
    raise FunctionFailed(
        f"header {_show(name)} must be a string, a number or a boolean, not {_show(value)}"
    )


def _cookies(value: object) -> list[tuple[bytes, bytes]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FunctionFailed(f"cookies must be a list of strings, not {_show(value)}")
    return [(b"set-cookie", item.encode()) for item in value]


def _body(value: object, is_base64: object) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, str):
        raise FunctionFailed(f"body must be a string, not {_show(value)}")
    if not is_base64:
        return value.encode()
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FunctionFailed(f"isBase64Encoded is set, but the body is not: {error}") from None


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
