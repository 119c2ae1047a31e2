"""What the log says of an exchange that did not end well, and whether the invocation fails with it."""

from __future__ import annotations

import logging

from lambda_client.errors import ClientGone, StreamClosed, StreamLost
from protocol.errors import CancelCode

logger = logging.getLogger("dialback")


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
    elif not isinstance(failure, StreamLost):
        raise failure
    else:
        logger.error("response not delivered", exc_info=failure)
