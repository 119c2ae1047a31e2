"""What every way to call a function has in common: the invoke leg's contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a function.

    Attributes:
        event: the payload 2.0 event as JSON bytes; 6 MB at most.
        client_context: JSON bytes for ClientContext (the envelope rides in ``custom``), or None.
        timeout: seconds the caller is willing to wait for the outcome.
        trace_id: value of ``X-Amzn-Trace-Id``, or None.
    """

    event: bytes
    client_context: bytes | None
    timeout: float
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class InvokeResult:
    """The function ran and this came back.

    Attributes:
        payload: the function's return value as JSON bytes; for an error AWS's error object
            ``{"errorType", "errorMessage", "stackTrace"?, "requestId"?}``.
        function_error: ``Unhandled`` or ``Handled`` when the function failed, else None
            (the header ``X-Amz-Function-Error`` of the Invoke API).
        request_id: the Lambda request id.
    """

    payload: bytes
    function_error: str | None
    request_id: str


class Invoker(Protocol):
    """A way to call one function: emulated Lambda, Invoke API, Function URL.

    An invoker never calls a function twice for one `invoke`.
    """

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        """Call the function and wait for what it returns.

        Cancelling the wait does not stop the function.

        Raises:
            gateway.errors.Throttled: nothing ran for want of concurrency.
            gateway.errors.InvokeNotSent: no connection could be made, so nothing was sent.
            gateway.errors.RequestBodyTooLarge: the event is over the limit; nothing ran.
            gateway.errors.FunctionUnreachable: nothing ran: no such function, or not allowed.
            gateway.errors.FunctionTimedOut: nothing ran within the caller's patience.
            InvokeOutcomeUnknown: the network failed after the call was sent; it may have run.
        """
        ...


class InvokeOutcomeUnknown(Exception):
    """The call was sent and the network failed: the function may or may not have run."""
