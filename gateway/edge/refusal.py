"""Requests that are refused by their head alone, before any route or body is looked at."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from gateway.edge.request import authority_of, length_of
from gateway.errors import (
    BadRequest,
    CodingNotSupported,
    HeadTooLarge,
    RequestBodyTooLarge,
    UpgradeNotSupported,
)
from protocol.limits import MAX_INT

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from gateway.edge.client_request import ClientRequest

HEAD_MAX = 64 * 1024
"""Bytes of all headers of a request: what AWS load balancers let through. With the largest inline body
in base64 it is still an event of less than 6 MiB."""

_LINE_OVERHEAD = len(": \r\n")

# RFC 9110 section 7.2 has a server refuse a Host that is none; the characters are RFC 3986's, section 3.2.2.
_HOST = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=%:\[\]]*")

# An offer that clients attach to any request and that a server may ignore (RFC 7540 section 3.2);
# Java's HttpClient sends it always, curl with --http2.
_IGNORED_UPGRADES = frozenset({"h2c"})


def check_request_head(request: ClientRequest) -> None:
    """See whether a request can be served at all; if not, the connection should end with the answer.

    Raises:
        UpgradeNotSupported: what follows may be no HTTP.
        CodingNotSupported: others before us may have read the end of its body elsewhere.
        HeadTooLarge: more headers than fit an event.
        RequestBodyTooLarge: it says that it has a body beyond what offsets count; the parser takes the longest
            that it could read for none at all.
        BadRequest: it names no host that could be one, another HTTP than 1.0 and 1.1, or a fragment: all that
            the parser lets pass. What is behind a "#" some readers take away: they would see another path.
    """
    if request.version.major != 1:
        raise BadRequest("HTTP/1.0 and HTTP/1.1 are spoken here")
    headers = request.headers
    if request.method == "CONNECT" or ("Upgrade" in headers and _wants_upgrade(headers)):
        raise UpgradeNotSupported
    coding = headers.get("Transfer-Encoding")
    if coding is not None and coding.strip().lower() != "chunked":
        raise CodingNotSupported  # RFC 9112 section 6.1
    if "Content-Length" in headers and (length_of(request) or 0) > MAX_INT:
        raise RequestBodyTooLarge.over(MAX_INT)
    for host in headers.getall("Host", ()):
        if not _HOST.fullmatch(host):
            raise BadRequest("the Host header is no host")
    lines = request.raw_headers
    if sum(map(len, chain.from_iterable(lines))) + len(lines) * _LINE_OVERHEAD > HEAD_MAX:
        raise HeadTooLarge
    _check_target(request.raw_path)


def _check_target(target: str) -> None:
    if "#" in target:  # RFC 9110 section 7.1: it is never sent
        raise BadRequest("the request target has a fragment")
    if not target.startswith("/"):
        authority = authority_of(target)
        if authority is not None and not _HOST.fullmatch(authority.decode("latin-1")):
            raise BadRequest("the request target names no host")


def _wants_upgrade(headers: CIMultiDictProxy[str]) -> bool:
    if "upgrade" not in ",".join(headers.getall("Connection", ())).lower():
        return False
    offered = ",".join(headers.getall("Upgrade")).split(",")
    offers = {offer.strip().lower() for offer in offered}
    return bool(offers - _IGNORED_UPGRADES - {""})
