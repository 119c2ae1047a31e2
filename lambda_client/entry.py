"""What every kind of handler has in common: one invocation, from its event to what it returns."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lambda_client import running
from lambda_client.errors import ClientGone
from lambda_client.invocation import read_invocation
from lambda_client.later import pump_type, session_type
from lambda_client.response import Buffer
from lambda_client.result import payload_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lambda_client.response import Outlet

    Handler = Callable[[Any, Any], Any]

ENTRY_POINT = "__dialback__"
"""The attribute of a handler that streams by itself, and needs no decorator any more."""


IN_LAMBDA = "AWS_LAMBDA_RUNTIME_API"
"""What the environment of every runtime has (AWS, "Using the Lambda runtime API"), and a unit test has not."""


def entry_point(handler: Handler) -> Handler:
    """Mark a handler as one that streams by itself.

    In Lambda it brings along what a stream needs: here that is part of INIT, which provisioned concurrency
    and SnapStart have behind them when a request comes; later it would hold up the first byte.
    """
    setattr(handler, ENTRY_POINT, True)
    if IN_LAMBDA in os.environ:
        with suppress(ImportError):  # whoever streams is told
            import lambda_client.address  # noqa: F401

            session_type()
            pump_type()
    return handler


def answer(event: Any, context: Any, respond: Callable[[Outlet], Any]) -> Any:
    """Give one invocation its outlet, and the outlet what becomes of user code.

    Args:
        event: of the invocation.
        context: Lambda's.
        respond: writes the response and returns what `Outlet.finish` returned.
    """
    invocation = read_invocation(event, context, now=time.monotonic())
    if invocation.envelope is None:
        return respond(Buffer(payload_for(event)))
    if invocation.envelope.probe_ms is not None:
        from lambda_client.probe import answer_probe

        return answer_probe(invocation.envelope)
    session = session_type()(invocation, invocation.envelope)
    before = running.session
    try:
        running.session = session
        return respond(session)
    except BaseException as error:
        if session.explains(error):
            if isinstance(session.failure, ClientGone):
                # The session keeps it, and its traceback every frame below: with the generators that these held.
                session.failure.with_traceback(None)
            return session.finish()
        session.fail(error)
        raise
    finally:
        running.session = before


def run_async(outlet: Outlet, value: Awaitable[Any]) -> Any:
    """Wait for async user code, on the persistent loop of this thread; the outlet may cancel it."""
    from lambda_client.main_loop import run_async as run_on_main_loop

    return run_on_main_loop(value, outlet.watch)
