"""Trace context: a valid one is passed on, in both notations; where there is none, one is begun.

``X-Amzn-Trace-Id`` is X-Ray's (``Root=1-<8 hex time>-<24 hex>``, then maybe Parent and Sampled),
``traceparent`` the W3C's (``00-<32 hex>-<16 hex>-<flags>``). They name the same 32 digits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.headers import HeaderList

_ROOT = re.compile(rb"(?:^|;)Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?=;|$)")
_AMAZON = re.compile(rb"[A-Za-z]+=[0-9A-Za-z:|.-]{1,64}(?:;[A-Za-z]+=[0-9A-Za-z:|.-]{1,64}){0,7}")
_W3C = re.compile(rb"00-([0-9a-f]{8})([0-9a-f]{24})-([0-9a-f]{16})-([0-9a-f]{2})")
_TRACE = frozenset({b"x-amzn-trace-id", b"traceparent", b"tracestate"})
_ZERO = re.compile(rb"0+")


def with_trace(headers: HeaderList, exchange_id: str, now: float) -> tuple[HeaderList, str]:
    """Complete the trace context of a request.

    Args:
        headers: of the request, names in lower case.
        exchange_id: 32 random hex digits, which a trace that begins here is named after.
        now: seconds since the epoch.

    Returns:
        The headers, with both notations; and the value of ``X-Amzn-Trace-Id``.
    """
    named = dict(headers)
    if _TRACE.isdisjoint(named):
        return _begun(headers, exchange_id, now)
    amazon = _valid_amazon(named.get(b"x-amzn-trace-id", b"").strip())
    w3c = _valid_w3c(named.get(b"traceparent", b"").strip())
    if amazon is not None and w3c is not None:
        return headers, amazon.decode()
    kept = tuple([pair for pair in headers if pair[0] not in _TRACE])
    if w3c is not None:
        time, rest, parent, flags = w3c.groups()
        sampled = int(flags, 16) & 1
        amazon = b"Root=1-%b-%b;Parent=%b;Sampled=%d" % (time, rest, parent, sampled)
        kept += tuple(pair for pair in headers if pair[0] in (b"traceparent", b"tracestate"))
    elif amazon is None:
        return _begun(kept, exchange_id, now)
    else:
        root = _ROOT.search(amazon)
        digits = b"".join(root.groups()) if root else b""
        flags = b"00" if b"Sampled=0" in amazon else b"01"
        span = exchange_id[16:].encode()
        kept += ((b"traceparent", b"00-%b-%b-%b" % (digits, span, flags)),)
    return (*kept, (b"x-amzn-trace-id", amazon)), amazon.decode()


def _begun(headers: HeaderList, exchange_id: str, now: float) -> tuple[HeaderList, str]:
    time, rest, span = f"{int(now):08x}", exchange_id[:24], exchange_id[16:]
    amazon = f"Root=1-{time}-{rest}"
    ours = (
        (b"traceparent", f"00-{time}{rest}-{span}-01".encode()),
        (b"x-amzn-trace-id", amazon.encode()),
    )
    return headers + ours, amazon


def _valid_amazon(value: bytes) -> bytes | None:
    return value if _AMAZON.fullmatch(value) and _ROOT.search(value) else None


def _valid_w3c(value: bytes) -> re.Match[bytes] | None:
    """All zeros is no id (W3C Trace Context, section 3.2.2)."""
    match = _W3C.fullmatch(value)
    if match is None or _ZERO.fullmatch(match[1] + match[2]) or _ZERO.fullmatch(match[3]):
        return None
    return match
