"""What can go wrong on the wire, whose fault it is, and the code the peer is told.

ProtocolError            never raised by itself
 |- LocalProtocolError   our own code used the protocol wrongly: a bug on this side
 |- RemoteProtocolError  the peer broke a rule: close the connection with `close_code`; a stream that
    |                    was bound to it detaches and may resume on another connection
    |- StreamFailed      the exchange itself is lost: no other connection can save it

Every code below is a number on the wire. A receiver keeps a code it does not know as a plain number,
so that a later version can add some.
"""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """WebSocket close codes (RFC 6455 section 7.4; 4000-4999 are ours).

    44xx: do not come back the same way. 45xx: come back and resume.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    MESSAGE_TOO_BIG = 1009
    PROTOCOL = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    VERSION = 4406
    NO_ATTACH = 4408
    SUPERSEDED = 4409
    FRAME_TOO_LARGE = 4413
    TOO_FAST = 4420
    INTERNAL = 4500
    DRAINING = 4503
    DEAD_PEER = 4504
    WRITE_STALL = 4508


class RejectCode(IntEnum):
    """Why the gateway refuses an ATTACH."""

    UNKNOWN = 1
    TERMINAL = 2
    STALE = 3
    BAD_TOKEN = 4
    CANCELLED = 5
    DRAINING = 6
    OVERLOADED = 7
    GAP = 8
    NOT_OWNER = 9
    LIMIT = 10


#: After these an ATTACH elsewhere, or later, may succeed.
PASSING_REJECTS = frozenset(
    {
        RejectCode.UNKNOWN,
        RejectCode.DRAINING,
        RejectCode.OVERLOADED,
        RejectCode.NOT_OWNER,
        RejectCode.LIMIT,
    }
)


class ResetCode(IntEnum):
    """Why a response ends without being complete."""

    HANDLER_ERROR = 1
    CANCELLED = 2
    DEADLINE = 3
    DIVERGED = 4
    FLOW_CONTROL = 5
    BAD_RESPONSE = 6
    LOST = 7
    INTERNAL = 8


class CancelCode(IntEnum):
    """Why the gateway wants no more of a response."""

    CLIENT_GONE = 1
    NO_BODY = 2
    TIMEOUT = 3
    WRITE_STALL = 4
    DRAINING = 5
    FAILED = 6


class GoawayCode(IntEnum):
    """Why a connection should take no further exchange."""

    DRAINING = 1
    SHUTTING_DOWN = 2


class ProtocolError(Exception):
    """The rules of the protocol were broken.

    Attributes:
        close_code: what to close the WebSocket with.
    """

    close_code: CloseCode = CloseCode.PROTOCOL

    def __init__(self, message: str, *, close_code: CloseCode | None = None) -> None:
        super().__init__(message)
        if close_code is not None:
            self.close_code = close_code


class LocalProtocolError(ProtocolError):
    """Our own code asked for something that the protocol does not allow now."""

    close_code = CloseCode.INTERNAL


class RemoteProtocolError(ProtocolError):
    """The peer broke a rule. The connection is closed; its stream may resume on another one."""


class StreamFailed(RemoteProtocolError):
    """The exchange cannot be completed any more, on this connection or on any other.

    Attributes:
        reset_code: what was wrong with it.
    """

    def __init__(self, message: str, reset_code: ResetCode) -> None:
        super().__init__(message)
        self.reset_code = reset_code
