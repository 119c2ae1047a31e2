"""What user code may catch when its response can no longer be delivered.

```
StreamClosed              nobody takes what you write any more
 +-- ClientGone           the gateway cancelled the exchange; most often the client left
 +-- StreamLost           the connection to the gateway broke
 +-- DeadlineReached      the function's own time is nearly over
 +-- GatewayUnreachable   the gateway was never reached; a body to read is there, or one to return too large
```
"""

from __future__ import annotations


class StreamClosed(Exception):
    """The response cannot take any more: it ended, was cancelled, or was lost."""


class ClientGone(StreamClosed):
    """The gateway cancelled the exchange, most often because the client left.

    Attributes:
        code: why (see `protocol.errors.CancelCode`).
    """

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message or f"the gateway cancelled the exchange (code {code})")
        self.code = code


class StreamLost(StreamClosed):
    """The connection to the gateway broke before the gateway held the whole response."""


class DeadlineReached(StreamClosed):
    """The function's own timeout is so near that the response was ended, visibly incomplete."""


class GatewayUnreachable(StreamClosed):
    """The gateway could not be dialled: it has the request's body, or the response's exceeds what may be returned."""
