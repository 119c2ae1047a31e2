"""What the gateway makes of whatever an invoke returned: an answer that is safe to send, or a failure."""

from __future__ import annotations

import json
from typing import Any

from gateway.errors import GatewayError
from gateway.exchange.invocation import Outcome, confirms, read_outcome
from gateway.invoke.base import InvokeResult
from tests.fuzz.choices import Choices
from tests.fuzz.made_json import spoiled
from tests.fuzz.targets.head import require_safe

LEGAL: dict[str, Any] = {
    "statusCode": 200,
    "headers": {"Content-Type": "text/plain", "x": "y", "n": 1, "Content-Length": "2"},
    "cookies": ["a=1"],
    "body": "aGk=",
    "isBase64Encoded": True,
}
ERROR: dict[str, Any] = {"errorType": "Sandbox.Timedout", "errorMessage": "", "stackTrace": []}


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    mode = choices.byte()
    error = "Unhandled" if mode & 1 else None
    if mode & 2:
        legal = {"dialback": {"v": 1}} if mode & 4 else ERROR if error else LEGAL
        payload = json.dumps(spoiled(legal, choices)).encode()
    else:
        payload = choices.rest()
    result = InvokeResult(payload, error, "request")
    outcome = read_outcome(result)
    _require_outcome(outcome, payload, error)
    assert outcome.receipt is None or confirms(result)
    assert outcome.answer is None or not confirms(result)


def _require_outcome(outcome: Outcome, payload: bytes, error: str | None) -> None:
    kinds = [outcome.answer, outcome.receipt, outcome.failure]
    assert sum(kind is not None for kind in kinds) == 1
    if outcome.failure is not None:
        assert isinstance(outcome.failure, GatewayError)
        assert str(outcome.failure).encode("utf-8", "backslashreplace"), (
            "the reason goes to the log"
        )
        assert len(str(outcome.failure)) < 3000, "a log line is no place for a whole result"
    assert error is None or outcome.failure is not None, "a failed function answers nothing"
    if outcome.answer is not None:
        require_safe(outcome.answer.status, outcome.answer.headers)
        assert isinstance(outcome.answer.body, bytes)
        assert len(outcome.answer.body) <= max(len(payload), 4)
        names = [name for name, _ in outcome.answer.headers]
        assert not outcome.answer.body or b"content-length" not in names
