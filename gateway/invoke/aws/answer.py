"""What AWS answered to a call: how much of it is read, and what an error of its own proves.

Every error says one of two things: nothing ran, or nobody knows. Only AWS's own words count as proof
that nothing ran (API reference, Invoke, Errors).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway.errors import FunctionFailed, FunctionUnreachable, RequestBodyTooLarge, Throttled
from gateway.invoke.base import InvokeOutcomeUnknown

if TYPE_CHECKING:
    import aiohttp

ANSWER_MAX = 6 * 1024 * 1024 + 64 * 1024
"""Bytes of an answer that are read: a payload of 6 MB (Lambda quotas) and some air."""

ERROR_SHOWN = 300
"""Characters of an error message of AWS that reach the log."""

RETRY_AFTER_MAX = 60
"""Seconds: what a client is told at most."""

#: Answers with a 5xx that say that the function was not started.
_NOT_STARTED = frozenset(
    {
        "EC2AccessDeniedException",
        "EC2UnexpectedException",
        "EFSIOException",
        "EFSMountConnectivityException",
        "EFSMountFailureException",
        "EFSMountTimeoutException",
        "ENILimitReachedException",
        "InvalidRuntimeException",
        "InvalidSecurityGroupIDException",
        "InvalidSubnetIDException",
        "InvalidZipFileException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "ResourceNotReadyException",
        "SnapStartException",
        "SnapStartNotReadyException",
        "SnapStartTimeoutException",
        "SubnetIPAddressLimitReachedException",
    }
)
#: The same, and asking again soon may help.
_NOT_STARTED_YET = frozenset({"EC2ThrottledException", "TooManyRequestsException"})


async def read_limited(answer: aiohttp.ClientResponse) -> bytes:
    """Read an answer.

    Raises:
        FunctionFailed: it is larger than any that AWS sends.
    """
    parts, size = [], 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > ANSWER_MAX:
            raise FunctionFailed(f"the Invoke API answered with more than {ANSWER_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


def refusal(name: str, answer: aiohttp.ClientResponse, payload: bytes) -> Exception:
    """Return what an error of the Invoke API means; `name` is the function's, for the log."""
    kind, text = _kind(answer), describe(name, answer, payload)
    if answer.status == 429 or kind in _NOT_STARTED_YET:
        return Throttled(text, retry_after=_retry_after(answer))
    if answer.status == 413:
        return RequestBodyTooLarge(text)
    if answer.status < 500 or kind in _NOT_STARTED:
        return FunctionUnreachable(text)
    return InvokeOutcomeUnknown(text)


def describe(name: str, answer: aiohttp.ClientResponse, payload: bytes) -> str:
    """Return an error of AWS as one line for the log."""
    return f"{name}: {answer.status} {_kind(answer)} {_message(payload)}".strip()


def _kind(answer: aiohttp.ClientResponse) -> str:
    return answer.headers.get("x-amzn-ErrorType", "").partition(":")[0]


def _message(payload: bytes) -> str:
    try:
        told = json.loads(payload)
        return str(told.get("Message") or told.get("message") or "")[:ERROR_SHOWN]
    except (ValueError, AttributeError):
        return ""


def _retry_after(answer: aiohttp.ClientResponse) -> int | None:
    told = answer.headers.get("Retry-After", "")
    return min(int(told), RETRY_AFTER_MAX) if told.isdecimal() else None
