"""What AWS answered to a call: how much of it is read, and what an error of its own proves.

Every error says one of two things: nothing ran, or nobody knows. Only AWS's own words count as proof
that nothing ran (API reference, Invoke, Errors).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from gateway.errors import FunctionUnreachable, RequestBodyTooLarge, Throttled
from gateway.invoke.base import InvokeOutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.headers import HeaderList

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


class Answer(NamedTuple):
    """What the server of a call said.

    Attributes:
        status: of it.
        headers: the first value of each, by names of any case.
        raw_headers: ordered pairs, as they came.
        payload: the whole body.
        closes: whether its connection ends with it.
    """

    status: int
    headers: Mapping[str, str]
    raw_headers: HeaderList
    payload: bytes
    closes: bool


def refusal(name: str, answer: Answer) -> Exception:
    """Return what an error of the Invoke API means; `name` is the function's, for the log."""
    kind, text = _kind(answer), describe(name, answer)
    if answer.status == 429 or kind in _NOT_STARTED_YET:
        return Throttled(text, retry_after=_retry_after(answer))
    if answer.status == 413:
        return RequestBodyTooLarge(text)
    if answer.status < 500 or kind in _NOT_STARTED:
        return FunctionUnreachable(text)
    return InvokeOutcomeUnknown(text)


def describe(name: str, answer: Answer) -> str:
    """Return an error of AWS as one line for the log."""
    return f"{name}: {answer.status} {_kind(answer)} {_message(answer.payload)}".strip()


def _kind(answer: Answer) -> str:
    return answer.headers.get("x-amzn-ErrorType", "").partition(":")[0]


def _message(payload: bytes) -> str:
    try:
        told = json.loads(payload)
        return str(told.get("Message") or told.get("message") or "")[:ERROR_SHOWN]
    except (ValueError, AttributeError):
        return ""


def _retry_after(answer: Answer) -> int | None:
    told = answer.headers.get("Retry-After", "")
    return min(int(told), RETRY_AFTER_MAX) if told.isdecimal() else None
