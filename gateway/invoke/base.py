"""What every way to call a function has in common: the invoke leg's contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from gateway.invoke.result import BufferedResponse
    from protocol.headers import HeaderList


class HttpCall(msgspec.Struct, frozen=True):
    """The request itself, for functions that are called by HTTP.

    Attributes:
        method: of the request; `path` and `query` raw, as the edge received them.
        headers: ordered pairs, without those of the hop, with ``x-forwarded-*`` and the trace.
        body: the part that travels with the call.
    """

    method: str
    path: str
    query: str
    headers: HeaderList
    body: bytes


class Invocation(msgspec.Struct, frozen=True):
    """One call of a function.

    Attributes:
        event: the payload 2.0 event as JSON bytes; 6 MB at most.
        client_context: JSON bytes for ClientContext (the envelope rides in ``custom``), or None.
        timeout: seconds the caller is willing to wait for the outcome.
        trace_id: value of ``X-Amzn-Trace-Id``, or None.
        call: the request that the event was made of, or None if there was none.
    """

    event: bytes
    client_context: bytes | None
    timeout: float
    trace_id: str | None = None
    call: HttpCall | None = None


class InvokeResult(msgspec.Struct, frozen=True):
    """The function ran and this came back.

    Attributes:
        payload: the function's return value as JSON bytes; for an error AWS's error object
            ``{"errorType", "errorMessage", "stackTrace"?, "requestId"?}``.
        function_error: ``Unhandled`` or ``Handled`` when the function failed, else None
            (the header ``X-Amz-Function-Error`` of the Invoke API).
        request_id: the Lambda request id.
        response: the answer, where AWS has read it from the payload already; then there is none.
    """

    payload: bytes
    function_error: str | None
    request_id: str
    response: BufferedResponse | None = None


class Invoker(Protocol):
    """A way to call one function: emulated Lambda, Invoke API, Function URL.

    An invoker never calls a function twice for one `invoke`.
    """

    def invoke(self, invocation: Invocation) -> Awaitable[InvokeResult]:
        """Call the function; what is returned waits for what it returns.

        Cancelling the wait does not stop the function. A future that comes from callbacks needs no task
        to wait for it.

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
