"""The payload 2.0 event, as a Function URL sends it.

Field by field after AWS's documents (Lambda developer guide, "Invoking Lambda function URLs",
request payload format): repeats are joined by commas, cookies stand both in ``cookies`` and in
``headers.cookie``, absent things are absent rather than empty.
"""

from __future__ import annotations

import base64
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest
    from protocol.headers import HeaderList

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Beside text/*, and no others: forms, application/problem+json and bodies without a type travel as
# base64. AWS does not document it; measured on HTTP APIs, whose format this is (ministack, pull 766).
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})


def build_event(request: EdgeRequest, *, exchange_id: str, body: bytes | None, now: float) -> bytes:
    """Write the event for one request.

    Args:
        request: what the edge received.
        exchange_id: becomes ``requestContext.requestId``.
        body: the whole request body; None or empty when it is not part of the event.
        now: the time of the request, in seconds since the epoch.

    Returns:
        The event as JSON bytes.
    """
    headers = _joined_headers(request)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            **_context(request, headers),
            "requestId": exchange_id,
            "time": _log_time(int(now)),
            "timeEpoch": int(now * 1000),
        },
        "pathParameters": None,
        "isBase64Encoded": False,
        "stageVariables": None,
    }
    if cookies := _cookies(request.headers):
        event["cookies"] = cookies
    if request.query and (parameters := _parameters(request.query)):
        event["queryStringParameters"] = parameters
    if body:
        event["body"], event["isBase64Encoded"] = _body(body, headers.get("content-type", ""))
    return msgspec.json.encode(event)


def _context(request: EdgeRequest, headers: dict[str, str]) -> dict[str, Any]:
    host = headers.get("host", "")
    # An IPv6 literal has colons of its own inside its brackets.
    domain = host if host.endswith("]") else host.rsplit(":", 1)[0]
    prefix = domain.split(".", 1)[0]
    return {
        "accountId": "anonymous",
        "apiId": prefix,
        "authentication": None,
        "domainName": domain,
        "domainPrefix": prefix,
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.version,
            "sourceIp": request.client_address,
            "userAgent": headers.get("user-agent", ""),
        },
        "routeKey": "$default",
        "stage": "$default",
    }


def _joined_headers(request: EdgeRequest) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("latin-1"), _text(raw_value)
        if name not in joined:
            joined[name] = value
        else:
            # RFC 6265 section 5.4: a cookie list is joined by "; ", everything else by commas.
            joined[name] += ("; " if name == "cookie" else ",") + value
    _add_forwarded(joined, request)
    return joined


def _add_forwarded(headers: dict[str, str], request: EdgeRequest) -> None:
    """Add what a Function URL adds; a proxy in front of us knows scheme and port better."""
    before = headers.get("x-forwarded-for")
    peer = request.client_address
    headers["x-forwarded-for"] = f"{before}, {peer}" if before else peer
    scheme = headers.setdefault("x-forwarded-proto", request.scheme)
    if "x-forwarded-port" not in headers:
        _, _, port = headers.get("host", "").rpartition(":")
        default = "443" if scheme == "https" else "80"
        headers["x-forwarded-port"] = port if port.isdecimal() else default


def _cookies(headers: HeaderList) -> list[str]:
    return [
        crumb
        for name, value in headers
        if name == b"cookie"
        for part in _text(value).split(";")
        if (crumb := part.strip())
    ]


def _parameters(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    if _is_text(content_type):
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True


@lru_cache(maxsize=256)
def _is_text(content_type: str) -> bool:
    media = content_type.split(";", 1)[0].strip().lower()
    return media.startswith("text/") or media in _TEXT_TYPES


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


@lru_cache(maxsize=4)
def _log_time(second: int) -> str:
    """Common log format in UTC; month names must not depend on the locale."""
    t = time.gmtime(second)
    return (
        f"{t.tm_mday:02}/{_MONTHS[t.tm_mon - 1]}/{t.tm_year}"
        f":{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000"
    )
