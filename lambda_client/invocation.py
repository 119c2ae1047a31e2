"""What one call of the handler is: its event, its envelope or none, its remaining time. Pure."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from typing import Any

from lambda_client.log_names import NAMES

logger = logging.getLogger("dialback")

ENVELOPE_HEADER = "x-dialback"
"""Where the envelope is when the function was called by its Function URL (protocol SPEC section 10)."""

ALLOWED_URLS = "DIALBACK_ALLOWED_URLS"
"""Variable of the function's environment: callback URLs that may come by that header, with commas
between them."""


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

# Only now: before that they would be looked for in whatever has the package's name.
from protocol.envelope import KEY, Envelope  # noqa: E402
from protocol.errors import ProtocolError, RemoteProtocolError  # noqa: E402


@dataclass(slots=True)
class Invocation:
    """One call of the handler; not changed once made (see `protocol.frames`).

    Attributes:
        event: what the function was called with.
        envelope: how to dial back; None when the caller was no gateway.
        remaining: seconds until Lambda ends the function; None when nobody asks, or the context does not say.
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
    envelope = _take_envelope(event, context)
    NAMES.begin(event, envelope)
    # What no gateway called may have any context: that of a test answers with whatever it likes.
    remaining = None if envelope is None else _remaining(context)
    deadline = None if remaining is None else now + remaining
    return Invocation(event, envelope, remaining, deadline)


def _take_envelope(event: Any, context: Any) -> Envelope | None:
    custom = getattr(getattr(context, "client_context", None), "custom", None)
    try:
        if isinstance(custom, dict) and KEY in custom:
            return Envelope.parse(custom.pop(KEY))
        return _take_from_headers(event)
    except ProtocolError as error:
        logger.warning("answering buffered, since the gateway's envelope is not valid: %s", error)
        return None


def _take_from_headers(event: Any) -> Envelope | None:
    """Take the envelope that came to a Function URL in a header, which anybody may have sent there.

    Only with URLs that this function's owner has allowed: else a stranger could make it dial whatever
    its network reaches.

    Raises:
        ProtocolError: it is not valid.
    """
    headers = event.get("headers") if isinstance(event, dict) else None
    text = headers.pop(ENVELOPE_HEADER, None) if isinstance(headers, dict) else None
    if text is None:
        return None
    try:
        envelope = Envelope.parse(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise RemoteProtocolError(f"no JSON: {type(error).__name__}") from error
    allowed = {url.rstrip("/") for url in os.environ.get(ALLOWED_URLS, "").split(",") if url}
    if not {url.rstrip("/") for url in envelope.urls} <= allowed:
        logger.warning(
            "answering buffered: %s does not name every callback URL that the gateway sent (%s)",
            ALLOWED_URLS,
            ", ".join(envelope.urls),
        )
        return None
    return envelope


def _remaining(context: Any) -> float | None:
    ask = getattr(context, "get_remaining_time_in_millis", None)
    return None if ask is None else max(0.0, ask() / 1000)
