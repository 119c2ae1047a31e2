"""What becomes of an exchange that did not end well: which error, and what the log says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lambda_client.errors import ClientGone, StreamClosed, StreamLost
from protocol.errors import CancelCode, RejectCode

if TYPE_CHECKING:
    from protocol.frames import Reject

logger = logging.getLogger("dialback")


def refusal(reject: Reject) -> StreamClosed:
    """Return what user code gets to see when the gateway refused the ATTACH."""
    if reject.code in (RejectCode.CANCELLED, RejectCode.TERMINAL):
        return ClientGone(CancelCode.CLIENT_GONE, "the client left before the function attached")
    return StreamLost(f"the gateway refused to attach: {reject}")


def report(failure: StreamClosed | None) -> None:
    """Log why the response was not delivered, as loud as it deserves.

    Raises:
        StreamClosed: `failure`, if the invocation itself should be seen to fail.
    """
    if failure is None:
        return
    if isinstance(failure, ClientGone):
        level = logging.DEBUG if failure.code == CancelCode.NO_BODY else logging.INFO
        logger.log(level, "response stopped: %s", failure)
    elif isinstance(failure, StreamLost):
        logger.error("response not delivered", exc_info=failure)
    else:
        raise failure
