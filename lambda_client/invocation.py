"""What one call of the handler is: its event, its envelope or none, its remaining time. Pure."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.envelope import Envelope

logger = logging.getLogger("dialback")


def check_protocol_package() -> None:
    """Check that `protocol` is dialback's package and not a module of the function's own.

    `protocol` is a common name, and a function's own directory comes first on Lambda's path.

    Raises:
        ImportError: another module shadows it; the message names its file.
    """
    import protocol

    try:
        import protocol.limits

        ours = hasattr(protocol.limits, "SUBPROTOCOL")
    except ImportError:
        ours = False
    if not ours:
        where = getattr(protocol, "__file__", None) or ", ".join(getattr(protocol, "__path__", ()))
        raise ImportError(
            f"dialback needs its own package 'protocol', but {where} has the same name and comes"
            " first on sys.path: rename that file or directory"
        )


check_protocol_package()


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the handler.

    Attributes:
        event: what the function was called with.
        envelope: how to dial back; None when the caller was no gateway.
        remaining: seconds until Lambda ends the function; None when the context does not say.
        deadline: the same as a point in time, on the clock of `now`.
    """

    event: Any
    envelope: Envelope | None
    remaining: float | None
    deadline: float | None


def read_invocation(event: Any, context: Any, *, now: float) -> Invocation:
    """Take the envelope out of the context, so that user code never sees (or prints) its token.

    Args:
        event: passed on untouched.
        context: Lambda's context, or any object, or None.
        now: a monotonic time in seconds.
    """
    remaining = _remaining(context)
    deadline = None if remaining is None else now + remaining
    return Invocation(event, _take_envelope(context), remaining, deadline)


def _take_envelope(context: Any) -> Envelope | None:
    from protocol.envelope import KEY, Envelope
    from protocol.errors import ProtocolError

    custom = getattr(getattr(context, "client_context", None), "custom", None)
    if not isinstance(custom, dict) or KEY not in custom:
        return None
    try:
        return Envelope.parse(custom.pop(KEY))
    except ProtocolError as error:
        logger.warning("answering buffered, since the gateway's envelope is not valid: %s", error)
        return None


def _remaining(context: Any) -> float | None:
    ask = getattr(context, "get_remaining_time_in_millis", None)
    return None if ask is None else max(0.0, ask() / 1000)
