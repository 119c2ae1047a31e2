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
from urllib.parse import unquote_plus

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.messages import EdgeRequest

_JSON = msgspec.json.Encoder()
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
        "requestContext": _context(request, headers, exchange_id, now),
        "pathParameters": None,
        "isBase64Encoded": False,
        "stageVariables": None,
    }
    if "cookie" in headers and (cookies := _cookies(headers["cookie"])):
        event["cookies"] = cookies
    if request.query and (parameters := _parameters(request.query)):
        event["queryStringParameters"] = parameters
    if body:
        event["body"], event["isBase64Encoded"] = encode_body(body, headers.get("content-type", ""))
    return _JSON.encode(event)


def _context(
    request: EdgeRequest, headers: dict[str, str], exchange_id: str, now: float
) -> dict[str, Any]:
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
        "requestId": exchange_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": log_time(int(now)),
        "timeEpoch": int(now * 1000),
    }


def _joined_headers(request: EdgeRequest) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name = raw_name.decode("latin-1")
        try:
            value = raw_value.decode()
        except UnicodeDecodeError:
            value = raw_value.decode("latin-1")
        if name not in joined:
            joined[name] = value
        else:
            # RFC 6265 section 5.4: a cookie list is joined by "; ", everything else by commas.
            joined[name] += ("; " if name == "cookie" else ",") + value
    return joined


def _cookies(header: str) -> list[str]:
    return [crumb for part in header.split(";") if (crumb := part.strip())]


def _parameters(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in query_pairs(query):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def query_pairs(query: str) -> Iterator[tuple[str, str]]:
    """Yield the decoded pairs of a raw query; a name without a value has an empty one."""
    escaped = "%" in query or "+" in query
    for pair in query.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        yield (unquote_plus(name), unquote_plus(value)) if escaped else (name, value)


def encode_body(body: bytes, content_type: str) -> tuple[str, bool]:
    """Return a body as the event has it, and whether that is base64."""
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


def header_text(value: bytes) -> str:
    """Read a header's value, which may be in either encoding."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


@lru_cache(maxsize=4)
def log_time(second: int) -> str:
    """Common log format in UTC; month names must not depend on the locale."""
    t = time.gmtime(second)
    return (
        f"{t.tm_mday:02}/{_MONTHS[t.tm_mon - 1]}/{t.tm_year}"
        f":{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000"
    )
