"""How large a world of the model is, and which rule is left out in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mutant(Enum):
    """A rule of the protocol that is left out, to see that somebody misses it."""

    DATA_BEFORE_ATTACHED = "HEAD and DATA go out on a resume before ATTACHED came"
    RETURN_BEFORE_END_ACK = "the function returns as soon as END was sent"
    CREDIT_NOT_RESTATED = "ATTACHED does not state the credit anew"
    ACK_AT_RECEPTION = "ack and credit follow what was received, not what was taken"
    FENCE_BY_ARRIVAL = "the ATTACH that arrives last wins, not the highest (inv, epoch)"
    END_NOT_REPEATED = "END is not sent again after a resume"
    TAIL_FROM_SENT = "the tail of the receipt starts at what was sent, not at what was acknowledged"
    HEAD_OF_ANOTHER = "an invocation that sent no head takes over a stream that has one"
    REUSED_BEFORE_END_ACK = "a connection that owes END_ACK carries the ATTACH of the next exchange"
    BOUND_AFTER_PARTING = "an END that says PARTING leaves the connection bound"
    PARTED_BEFORE_END = (
        "the function parts from a connection on which its END could not be sent yet"
    )


@dataclass(frozen=True)
class Config:
    """How large a world to explore.

    Attributes:
        body: units of the response.
        window: units that may be in flight or wait in the gateway.
        attaches: ATTACHes that the function may make; all but the last may be for a fault.
        receipts: the function may give up and return the rest of its response.
        parting: units that may be unacknowledged where a function waits for no END_ACK; -1: it always waits.
        stale: an older invocation, with another body, has its ATTACH, HEAD and DATA on the way.
    """

    body: int = 2
    window: int = 1
    attaches: int = 2
    receipts: bool = True
    parting: int = -1
    stale: bool = False
