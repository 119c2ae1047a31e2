"""The HTTP request inside an event, for web frameworks: payload 2.0, payload 1.0, or an ALB's.

After AWS's documents: "Invoking Lambda function URLs" and "Working with AWS Lambda proxy
integrations for HTTP APIs" (2.0, 1.0), "Lambda functions as targets for Application Load Balancers".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_STAGE = "$default"
"""The stage of an HTTP API that is no part of its paths."""

_VERSIONS = {"HTTP/1.0": "1.0", "HTTP/2": "2", "HTTP/2.0": "2"}

_CODING = "utf-8", "replace"

_PATH_SAFE = "/-._~!$&'()*+,;=:@%"
"""What stands in a path for itself (RFC 3986 section 3.3), and the mark of what is encoded already:
API Gateway gives some paths decoded."""

_PLAIN_PATH = re.compile(b"[A-Za-z0-9%b]*" % re.escape(_PATH_SAFE.rstrip("%").encode()))
"""A path that stands for itself, as nearly all do."""

NAMES_KEPT = 128
"""So many names of headers are made bytes only once: every request brings the same."""

_PORT = re.compile("[0-9]{1,5}")
"""Whoever asks may send a number of any length."""

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class HttpRequest:
    """One request's head; not changed once made (see `protocol.frames`).

    Attributes:
        method: upper case.
        raw_path: percent-encoded, as the client sent it.
        path: the bytes that it stands for.
        root_path: the front of `path` that is the stage of an HTTP API, and no part of the application.
        query: raw, without ``?``.
        headers: (lower-case name, value) pairs.
        version: of HTTP: ``1.0``, ``1.1``, ``2``.
        scheme: ``http`` or ``https``.
        client: address of the client, or None.
        server: host name and port that the client asked for.
    """

    method: str
    raw_path: bytes
    path: bytes
    root_path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    version: str
    scheme: str
    client: str | None
    server: tuple[str, int]

    @classmethod
    def parse(cls, event: Any) -> HttpRequest:
        """Read an event.

        Raises:
            ValueError: it describes no HTTP request.
        """
        if not isinstance(event, dict):
            raise ValueError(f"an HTTP event is a dict, not {type(event).__name__}")
        context = event.get("requestContext") or {}
        if isinstance(context.get("http"), dict):
            return _payload_2(event, context["http"])
        if "httpMethod" in event:
            return _payload_1(event, context)
        raise ValueError(
            "the event is no HTTP request: neither requestContext.http (payload 2.0) nor httpMethod"
            " (payload 1.0, load balancer) is there"
        )


def _payload_2(event: Mapping[str, Any], http: Mapping[str, Any]) -> HttpRequest:
    headers = event.get("headers") or {}
    pairs = [(_name(name), str(value).encode(*_CODING)) for name, value in headers.items()]
    cookies = event.get("cookies") or []
    if cookies and not any(name == b"cookie" for name, _ in pairs):
        pairs.append((b"cookie", "; ".join(cookies).encode(*_CODING)))
    return _request(
        http,
        raw_path=str(event.get("rawPath") or "/").encode(*_CODING),
        query=str(event.get("rawQueryString") or "").encode(*_CODING),
        headers=tuple(pairs),
        stage=(event.get("requestContext") or {}).get("stage"),
    )


def _payload_1(event: Mapping[str, Any], context: Mapping[str, Any]) -> HttpRequest:
    several = event.get("multiValueHeaders") or {
        name: [value] for name, value in (event.get("headers") or {}).items()
    }
    pairs = [
        (_name(name), str(value).encode(*_CODING))
        for name, values in several.items()
        for value in values
    ]
    http = {
        "method": event["httpMethod"],
        "protocol": context.get("protocol"),
        "sourceIp": (context.get("identity") or {}).get("sourceIp"),
    }
    return _request(
        http,
        raw_path=str(event.get("path") or "/").encode(*_CODING),
        query=_payload_1_query(event, encoded="elb" in context),
        headers=tuple(pairs),
    )


def _payload_1_query(event: Mapping[str, Any], *, encoded: bool) -> bytes:
    """Return the query; a load balancer leaves it percent-encoded, API Gateway does not."""
    several = event.get("multiValueQueryStringParameters")
    single = event.get("queryStringParameters") or {}
    pairs = list(_flat(several) if several else single.items())
    if encoded:
        return "&".join(f"{name}={value}" for name, value in pairs).encode()
    return urlencode(pairs).encode()


def _flat(several: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    for name, values in several.items():
        for value in values:
            yield name, value


def _request(
    http: Mapping[str, Any],
    *,
    raw_path: bytes,
    query: bytes,
    headers: tuple[tuple[bytes, bytes], ...],
    stage: str | None = None,
) -> HttpRequest:
    path = raw_path
    if not _PLAIN_PATH.fullmatch(raw_path):
        raw_path = quote(raw_path, safe=_PATH_SAFE).encode()
        path = unquote_to_bytes(raw_path)
    prefix = b"" if stage in (None, DEFAULT_STAGE) else f"/{stage}".encode()
    named = dict(reversed(headers))  # of repeats the first one counts
    scheme = named.get(b"x-forwarded-proto", b"https").decode("latin-1")
    return HttpRequest(
        method=http.get("method", "GET").upper(),
        raw_path=raw_path,
        path=path,
        root_path=prefix if (path + b"/").startswith(prefix + b"/") else b"",
        query=query,
        headers=headers,
        version=_VERSIONS.get(http.get("protocol") or "", "1.1"),
        scheme=scheme,
        client=http.get("sourceIp") or _forwarded_for(named) or None,
        server=_server(named, scheme),
    )


def _forwarded_for(headers: Mapping[bytes, bytes]) -> str:
    return headers.get(b"x-forwarded-for", b"").split(b",")[0].strip().decode("latin-1")


def _server(headers: Mapping[bytes, bytes], scheme: str) -> tuple[str, int]:
    host = headers.get(b"host", b"localhost").decode("latin-1")
    name, _, port = host.rpartition(":")
    if name and _PORT.fullmatch(port):
        return name, int(port)
    told = headers.get(b"x-forwarded-port", b"").decode("latin-1")
    return host, int(told) if _PORT.fullmatch(told) else DEFAULT_PORTS.get(scheme, 80)


@lru_cache(maxsize=NAMES_KEPT)
def _name(text: Any) -> bytes:
    return str(text).encode(*_CODING).lower()
