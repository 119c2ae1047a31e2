"""How user code that computes for long, without writing, learns that nobody waits for the result."""

from __future__ import annotations

from lambda_client.running import running_session


def cancelled() -> bool:
    """Tell whether nobody takes the response of the running invocation any more.

    Always False without a gateway. Cheap, and callable from any thread.
    """
    session = running_session()
    return session is not None and session.failure is not None


def check_cancelled() -> None:
    """Raise if nobody takes the response of the running invocation any more.

    Does nothing without a gateway. A handler that lets the error pass ends as one that was told by
    `write`.

    Raises:
        ClientGone: the gateway cancelled the exchange, most often because the client left.
        DeadlineReached: the function's own time is nearly over.
        StreamLost: the gateway was lost, and did not come back.
    """
    session = running_session()
    if session is not None and session.failure is not None:
        raise session.failure
