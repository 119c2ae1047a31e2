"""What a function returned, read as a Function URL reads it.

After AWS's documents (Lambda developer guide, "Invoking Lambda function URLs", response payload
format): an object with ``statusCode`` is a payload 2.0 response; any other JSON value is itself the
body of a 200 ``application/json``. ``multiValueHeaders`` counts in payload 1.0 only. Where the
documents are silent or wrong, after what LocalStack recorded on AWS (its tests marked as validated
there): a string loses its quotes, other JSON its blanks, and ``statusCode`` may be a string.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Raw

from gateway.errors import FunctionFailed
from protocol.headers import HeadError, check_head
from protocol.limits import MAX_HEAD_SIZE

if TYPE_CHECKING:
    from gateway.route_settings import PayloadVersion
    from protocol.headers import HeaderList

_JSON_TYPE = (b"content-type", b"application/json")
_RECEIPT_KEY = "dialback"
_RECEIPT_BEGINS = b'{"dialback":'
# Nearly every receipt is smaller, and whatever so few bytes hold may be decoded at once.
_SMALL = 1024
# A head of 48 KiB may be written in escapes, six characters for one or two bytes, with quotes around.
_HEAD_JSON_MAX = 8 * MAX_HEAD_SIZE
_STATUS = re.compile(rb'("?)([2-5][0-9]{2})\1')
_FALSE = (b"", b"null", b"false", b"0", b'""')
_SHOWN_MAX = 61

T = TypeVar("T")


class BufferedResponse(msgspec.Struct, frozen=True):
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


class PossibleReceipt(msgspec.Struct, frozen=True):
    """An object whose only key is ``dialback``: `protocol.receipt` decides whether it is a receipt.

    Attributes:
        value: the whole parsed object.
        payload: the JSON bytes it came from, for `plain_json` if it turns out to be none.
    """

    value: dict[str, Any]
    payload: bytes


class _Result(msgspec.Struct):
    """The keys of a result that mean something, not decoded yet; whatever else is there is skipped.

    A few megabytes of empty arrays take a hundred in memory, and seconds of the event loop. So nothing
    is decoded but what is needed, and no more of that than a response can hold.
    """

    statusCode: Raw = Raw()  # noqa: N815 - Amazon's name
    headers: Raw = Raw()
    multiValueHeaders: Raw = Raw()  # noqa: N815 - Amazon's name
    cookies: Raw = Raw()
    body: Raw = Raw()
    isBase64Encoded: Raw = Raw()  # noqa: N815 - Amazon's name
    dialback: Raw = Raw()


class _Receipt(msgspec.Struct):
    v: Raw = Raw()
    xid: Raw = Raw()
    inv: Raw = Raw()
    status: Raw = Raw()
    code: Raw = Raw()
    final: Raw = Raw()
    crc: Raw = Raw()
    head: Raw = Raw()
    dial: Raw = Raw()
    tail: Raw = Raw()


class _OnlyReceipt(msgspec.Struct, forbid_unknown_fields=True):
    dialback: _Receipt


class _Unread(msgspec.Struct):
    """An object; what is in it is skipped."""


class _UnreadReceipt(msgspec.Struct, forbid_unknown_fields=True):
    dialback: _Unread


class _Tail(msgspec.Struct):
    offset: int | float | str | bool | None = None
    base64: str | None = None


_ANY = msgspec.json.Decoder(Raw)
_RESULT = msgspec.json.Decoder(_Result)
_ONLY_RECEIPT = msgspec.json.Decoder(_OnlyReceipt)
_UNREAD_RECEIPT = msgspec.json.Decoder(_UnreadReceipt)
_TAIL = msgspec.json.Decoder(_Tail)
_TEXT = msgspec.json.Decoder(str)


def parse_result(
    payload: bytes, version: PayloadVersion = "2.0"
) -> BufferedResponse | PossibleReceipt:
    """Read a function's return value.

    Args:
        payload: the JSON bytes that the invoke returned.
        version: of the format; 1.0 has ``multiValueHeaders``, which 2.0 ignores, and no cookies.

    Raises:
        FunctionFailed: it is no JSON, or a payload 2.0 response of a wrong shape. The detail names
            what is wrong.
    """
    if not payload:
        return plain_json(payload)
    try:
        payload.decode()
        if payload.startswith(_RECEIPT_BEGINS) and len(payload) <= _SMALL:
            value = msgspec.json.decode(payload)
            if len(value) == 1 and isinstance(value[_RECEIPT_KEY], dict):
                return PossibleReceipt(value, payload)
        _ANY.decode(payload)
        result = _decoded(_RESULT, payload)
        if result is not None and result.statusCode:
            return _payload_response(result, version)
        receipt = _decoded(_ONLY_RECEIPT, payload) if result and result.dialback else None
        if receipt is not None:
            return PossibleReceipt({_RECEIPT_KEY: _receipt_fields(receipt.dialback)}, payload)
        return plain_json(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FunctionFailed(f"the function's result is not JSON: {error}") from None


def is_possible_receipt(payload: bytes) -> bool:
    """Whether this is JSON that `parse_result` makes a `PossibleReceipt` of, found out without reading any of it."""
    try:
        _UNREAD_RECEIPT.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _decoded(decoder: msgspec.json.Decoder[T], payload: bytes | Raw) -> T | None:
    """Return what valid JSON says, or None if it is of another shape."""
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError:
        return None


def _receipt_fields(receipt: _Receipt) -> dict[str, Any]:
    fields = {
        key: _value(key, raw)
        for key in _Receipt.__struct_fields__
        if key != "tail" and (raw := getattr(receipt, key))
    }
    if not _is_null(receipt.tail):
        tail = _decoded(_TAIL, receipt.tail) or _Tail()
        fields["tail"] = {"offset": tail.offset, "base64": tail.base64}
    return fields


def _value(name: str, raw: Raw) -> Any:
    """Decode what belongs to a head, or is a number or a short text."""
    if len(raw) > _HEAD_JSON_MAX:
        raise FunctionFailed(f"{name} is longer than any response head")
    return msgspec.json.decode(raw) if raw else None


def plain_json(payload: bytes) -> BufferedResponse:
    """Return the answer for a result that is no payload 2.0 response: the JSON itself.

    Raises:
        msgspec.DecodeError: it is none.
    """
    text = _decoded(_TEXT, payload) if payload.lstrip()[:1] == b'"' else None
    if text is not None:
        return BufferedResponse(200, (_JSON_TYPE,), text.encode())
    return BufferedResponse(200, (_JSON_TYPE,), msgspec.json.format(payload or b"null", indent=-1))


def _payload_response(result: _Result, version: PayloadVersion) -> BufferedResponse:
    number = _STATUS.fullmatch(result.statusCode)
    if number is None:
        shown = _show_json(result.statusCode)
        raise FunctionFailed(f"statusCode must be an integer from 200 to 599, not {shown}")
    status = int(number[2])
    body = _body(result.body, is_base64=bytes(result.isBase64Encoded) not in _FALSE)
    pairs = _headers(_value("headers", result.headers))
    if version == "2.0":
        pairs += _cookies(_value("cookies", result.cookies))
    else:
        many = _many_headers(_value("multiValueHeaders", result.multiValueHeaders))
        named = {name.lower() for name, _ in many}
        pairs = [pair for pair in pairs if pair[0].lower() not in named] + many
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


def _many_headers(value: object) -> list[tuple[bytes, bytes]]:
    if value is None:
        return []
    if not isinstance(value, dict) or not all(isinstance(item, list) for item in value.values()):
        raise FunctionFailed(f"multiValueHeaders must be an object of lists, not {_show(value)}")
    return [
        (name.encode(), _header_value(name, item))
        for name, items in value.items()
        for item in items
    ]


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


def _body(raw: Raw, *, is_base64: bool) -> bytes:
    if _is_null(raw):
        return b""
    value = _decoded(_TEXT, raw)
    if value is None:
        raise FunctionFailed(f"body must be a string, not {_show_json(raw)}")
    if not is_base64:
        return value.encode()
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FunctionFailed(f"isBase64Encoded is set, but the body is not: {error}") from None


def _show_json(raw: Raw) -> str:
    return _shortened(bytes(memoryview(raw)[:_SHOWN_MAX]).decode(errors="replace"))


def _is_null(raw: Raw) -> bool:
    """Whether a key is missing, or null."""
    return bytes(memoryview(raw)[:5]) in (b"", b"null")


def _show(value: object) -> str:
    return _shortened(repr(value))


def _shortened(text: str) -> str:
    return text if len(text) < _SHOWN_MAX else f"{text[: _SHOWN_MAX - 4]}..."
