"""The words of the invoke leg: what goes out with the call, and what its outcome means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.errors import FunctionFailed, FunctionTimedOut, FunctionUnreachable, GatewayError
from gateway.invoke.base import InvokeOutcomeUnknown
from gateway.invoke.result import (
    BufferedResponse,
    is_possible_receipt,
    parse_result,
    plain_json,
)
from protocol.envelope import KEY, Envelope
from protocol.errors import ProtocolError
from protocol.limits import shorten
from protocol.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.invoke.base import InvokeResult
    from gateway.route_settings import PayloadVersion
    from gateway.tokens import Grant
    from protocol.limits import Limits

TIMEOUT_TYPES = frozenset({"Sandbox.Timedout", "Function.Timedout"})
"""errorType of a function that ran into its own timeout (AWS Lambda, Invoke API)."""

NOT_DIALLED = "the function could not dial back to the gateway"
"""What clients are told then."""

UNREACHED_TYPE = "GatewayUnreachable"
"""errorType of a function that could not dial back, with a body too large to return instead: the name
of that exception in `lambda_client`, which this package does not import."""


_OF_EACH = frozenset({"xid", "inv", "token", "body", "body_length"})


class Outcome(msgspec.Struct, frozen=True):
    """What the invoke leg came to; exactly one attribute is set, or none if nobody knows.

    Attributes:
        answer: an ordinary payload 2.0 answer.
        receipt: the function's library reports.
        confirms: it reports on a response that is here to its end; what it says is not read.
        failure: why no clean end can follow, unless the stream had ended already.
    """

    answer: BufferedResponse | None = None
    receipt: Receipt | None = None
    confirms: bool = False
    failure: GatewayError | None = None

    @property
    def name(self) -> str:
        """One word for the metrics."""
        if self.failure is not None:
            return self.failure.reason
        if self.answer is not None:
            return "answer"
        return "receipt" if self.confirms or self.receipt is not None else "unknown"


CONFIRMED: Final = Outcome(confirms=True)


@dataclass(frozen=True, slots=True)
class CallbackOffer:
    """What every envelope of this gateway says.

    Attributes:
        urls: where functions dial, best first.
        window: bytes that a function may send before it hears from us.
        limits: of the protocol.
        constant: how each of its ClientContexts begins, as JSON.
    """

    urls: Sequence[str]
    window: int
    limits: Limits
    constant: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Write once what is the same in all of them."""
        fields = Envelope("", 1, tuple(self.urls), "", self.window, self.limits.max_frame).to_json()
        same = {key: value for key, value in fields.items() if key not in _OF_EACH}
        encoded = msgspec.json.encode({"custom": {KEY: same}})
        object.__setattr__(self, "constant", encoded.removesuffix(b"}}}"))


def client_context(offer: CallbackOffer, grant: Grant, *, upload: int | None) -> bytes:
    """Build the ClientContext JSON that carries the envelope.

    Args:
        offer: where to dial, and how much may be sent.
        grant: the right to attach.
        upload: None if the request body is in the event; else its length, or -1 if not known.
    """
    body = b"inline" if upload is None else b"stream"
    length = b"null" if upload is None or upload < 0 else b"%d" % upload
    return b'%b,"xid":"%b","inv":%d,"token":"%b","body":"%b","body_length":%b}}}' % (
        offer.constant,
        grant.xid.hex().encode(),
        grant.inv,
        grant.token.encode(),  # base64url
        body,
        length,
    )


def read_outcome(result: InvokeResult, version: PayloadVersion = "2.0") -> Outcome:
    """Tell what a function's return value means to a route of this payload version."""
    if result.function_error is not None:
        return Outcome(failure=_function_error(result))
    if result.response is not None:
        return Outcome(answer=result.response)
    try:
        parsed = parse_result(result.payload, version)
        if isinstance(parsed, BufferedResponse):
            return Outcome(answer=parsed)
        receipt = Receipt.parse(parsed.value)
    except (GatewayError, ProtocolError) as error:
        return Outcome(failure=FunctionFailed(f"the function's answer is no response: {error}"))
    return Outcome(receipt=receipt) if receipt else Outcome(answer=plain_json(parsed.payload))


def confirms(result: InvokeResult) -> bool:
    """Whether a function returned a receipt, of which a response that has ended has nothing to learn."""
    return result.function_error is None and is_possible_receipt(result.payload)


def outcome_of_failure(error: BaseException) -> Outcome:
    """Tell what an invoker's exception means."""
    if isinstance(error, InvokeOutcomeUnknown):
        return Outcome()
    if isinstance(error, GatewayError):
        return Outcome(failure=error)
    return Outcome(failure=FunctionFailed(f"the invoke failed: {error!r}"))


class _FunctionError(msgspec.Struct):
    """AWS's error object, without the stack trace."""

    errorType: str | None = None  # noqa: N815 - Amazon's name
    errorMessage: str | None = None  # noqa: N815 - Amazon's name


def _function_error(result: InvokeResult) -> GatewayError:
    try:
        described = msgspec.json.decode(result.payload, type=_FunctionError)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        described = _FunctionError("Unknown", "")
    kind, text = (shorten(str(said)) for said in (described.errorType, described.errorMessage))
    detail = f"{kind}: {text} (request {result.request_id})"
    if kind == UNREACHED_TYPE:
        return FunctionUnreachable(detail, public=NOT_DIALLED)
    return FunctionTimedOut(detail) if kind in TIMEOUT_TYPES else FunctionFailed(detail)
