"""Everything that can go wrong before a response has begun, and what the client is told.

GatewayError
 |- BadRequest             400
 |- Forbidden              403  (the header that the route asks for is missing or wrong)
 |- NotFound               404
 |- MethodNotAllowed       405  + Allow
 |- RequestBodyTooLarge    413
 |- TargetTooLong          414
 |- HeadTooLarge           431
 |- ClientBodyError        400  (the client broke off in the middle of its body)
 |   |- UploadTooSlow      408
 |- UpgradeNotSupported    501
 |- CodingNotSupported     501  (a transfer coding that nobody here would undo)
 |- Overloaded             503  + Retry-After
 |   |- MemoryUsedUp, Draining
 |- CalledInVain           503  + Retry-After (the breaker is open)
 |- NotInvoked             503  + Retry-After (nothing ran; a later call may)
 |   |- Throttled           (the function's concurrency is used up)
 |   |- InvokeNotSent       (no connection to what runs it)
 |- FunctionFailed         502  (it raised, it crashed, it answered nonsense)
 |- FunctionUnreachable    502  (no such function, not allowed, never dialled back)
 |- FunctionTimedOut       504
ConfigError                a setting is wrong: named by file, key and what to do (exit 2)

Public messages are fixed texts of ours: nothing a function said reaches the client through them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.headers import HeaderList


class GatewayError(Exception):
    """An exchange that ends before its response head.

    Attributes:
        status: the HTTP status for the client.
        public: what the client may read; `str(error)` is for the log and may say more.
        reason: one word for metrics and the access line.
        retry_after: seconds for the Retry-After header, or None.
        headers: further ones of the answer.
    """

    headers: HeaderList = ()

    reason = "internal_error"
    status = 502
    public = "the function could not be served"

    def __init__(
        self, detail: str = "", *, public: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(detail or public or self.public)
        self.public = public or self.public
        self.retry_after = retry_after


class BadRequest(GatewayError):
    """The request cannot be understood."""

    reason = "bad_request"
    status = 400
    public = "bad request"


class ClientBodyError(BadRequest):
    """The client broke off in the middle of its request body, or framed it wrongly."""

    reason = "body_broken"
    public = "the request body ended early or was malformed"


class UploadTooSlow(ClientBodyError):
    """The client sends its request body more slowly than anyone who means it."""

    reason = "upload_too_slow"
    status = 408
    public = "the request body came too slowly"


class Forbidden(GatewayError):
    """The request did not come through what stands in front of the gateway."""

    reason = "forbidden"
    status = 403
    public = "not allowed here"


class NotFound(GatewayError):
    """No route matches."""

    reason = "not_found"
    status = 404
    public = "no route matches this path"


class MethodNotAllowed(GatewayError):
    """Routes match, but none takes this method.

    Args:
        allow: the value of the Allow header.
    """

    reason = "method_not_allowed"
    status = 405
    public = "no route takes this method here"

    def __init__(self, allow: str) -> None:
        super().__init__(f"allowed: {allow}")
        self.headers = ((b"allow", allow.encode()),)


class RequestBodyTooLarge(GatewayError):
    """The request body is over what the route lets into an event."""

    reason = "body_too_large"
    status = 413
    public = "the request body is too large for this route"

    @classmethod
    def over(cls, limit: int) -> RequestBodyTooLarge:
        """Say which limit, in bytes, it is over."""
        return cls(public=f"the request body is over the {limit} bytes that this route takes")


class TargetTooLong(GatewayError):
    """The request target is longer than any that is passed on."""

    reason = "target_too_long"
    status = 414
    public = "the request target is too long"


class HeadTooLarge(GatewayError):
    """One header is too long, or there are too many, or too much of them."""

    reason = "head_too_large"
    status = 431
    public = "the request headers are too large"


class UpgradeNotSupported(GatewayError):
    """The browser asked for a protocol upgrade."""

    reason = "upgrade_not_supported"
    status = 501
    public = "protocol upgrades are not supported yet"


class CodingNotSupported(GatewayError):
    """The body has a transfer coding beside chunked: the function would get it still coded."""

    reason = "coding_not_supported"
    status = 501
    public = "of transfer codings only chunked is supported"


class Overloaded(GatewayError):
    """The route's concurrency and its queue are used up."""

    reason = "queue_full"
    status = 503
    public = "too many requests are waiting"


class MemoryUsedUp(Overloaded):
    """All exchanges together hold as much as they may."""

    reason = "memory_used_up"
    public = "the gateway holds as much as it may"


class Draining(Overloaded):
    """The gateway is shutting down."""

    reason = "draining"
    public = "the gateway is shutting down"


class CalledInVain(GatewayError):
    """The function was called several times in a row and never reached this gateway."""

    reason = "breaker_open"
    status = 503
    public = "the function cannot reach this gateway; it is not called for a while"


class NotInvoked(GatewayError):
    """The call provably did not take place: nothing ran, and a later one may succeed."""

    reason = "not_invoked"
    status = 503
    public = "the function cannot be called right now"


class Throttled(NotInvoked):
    """Lambda refused the invocation for want of concurrency."""

    reason = "throttled"
    public = "the function is at its concurrency limit"


class InvokeNotSent(NotInvoked):
    """No connection to what runs the function, so the call was never sent."""

    reason = "not_sent"


class FunctionFailed(GatewayError):
    """The function raised, crashed, or answered something that cannot be served."""

    reason = "function_failed"
    status = 502
    public = "the function failed"


class FunctionUnreachable(GatewayError):
    """The function could not be invoked, or never dialled back."""

    reason = "unreachable"
    status = 502
    public = "the function could not be invoked"


class FunctionTimedOut(GatewayError):
    """The function, or the route's patience, ran out of time."""

    reason = "timed_out"
    status = 504
    public = "the function did not answer in time"


class ConfigError(Exception):
    """A setting is wrong. The text names it, says what is wrong, and what to do; one line."""
