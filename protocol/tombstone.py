"""What is left of an exchange that is over: it refuses whoever comes back."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING

from protocol.errors import RejectCode
from protocol.frames import Reject

if TYPE_CHECKING:
    from protocol.frames import Attach


def is_stranger(frame: Attach, inv: int, secret: bytes) -> bool:
    """Whether an ATTACH for the invocation that attached last does not know its secret."""
    return frame.inv == inv and not compare_digest(frame.secret, secret)


@dataclass(slots=True)
class Tombstone:
    """Answers in place of a `GatewayStream` that no connection is bound to any more.

    Attributes:
        inv: the invocation that attached last; 0 for none.
        secret: its.
        reject: how every ATTACH is answered that knows it.
    """

    inv: int
    secret: bytes
    reject: RejectCode

    def refuse(self, frame: Attach) -> Reject:
        """Answer an ATTACH whose token the caller has verified for this exchange."""
        stranger = is_stranger(frame, self.inv, self.secret)
        code = RejectCode.BAD_TOKEN if stranger else self.reject
        return Reject(frame.sid, code, None, code.name.lower(), None)
