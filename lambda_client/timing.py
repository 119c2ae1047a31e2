"""Every duration inside a function, in seconds of awake time, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """How long what may take (protocol SPEC, timers).

    Attributes:
        attempt: one try to attach: name, TCP, TLS and upgrade; and again the answer to ATTACH.
        backoff_first: pause before the second try, doubled each time, with full jitter: thousands
            of functions must not come back in step.
        backoff_max: the longest pause; also the most that a gateway's "later" is heeded.
        hedge: silence on a parked connection after which another one is dialled beside it: no
            longer than a client may notice.
        hedge_rtts: the same in round trips, for far gateways.
        idle: a connection parked for longer is not tried: something between may have forgotten it
            (load balancers drop idle connections after 60 s by default).
        patience: never attached for so long: the receipt carries the response instead.
        tail: lost for so long: the receipt carries what is not acknowledged. The gateway waits
            longer, so that the tail still finds the exchange.
        share: the share of the time left that patience and tail may use up at most.
        end_ack: how long the gateway may take to say that it holds everything.
        flush: how long the last frames may take to reach the kernel before the environment freezes.
        cancel_grace: what user code has to stop before the gateway is told without it.
        deadline: so long before Lambda ends the function, an incomplete response is reset.
        deadline_share: the same as a share of the whole time, for short functions.
        late: a timer that fires so much too late says that the process was frozen.
    """

    attempt: float = 5.0
    backoff_first: float = 0.1
    backoff_max: float = 5.0
    hedge: float = 0.15
    hedge_rtts: float = 3.0
    idle: float = 45.0
    patience: float = 10.0
    tail: float = 15.0
    share: float = 1 / 3
    end_ack: float = 10.0
    flush: float = 1.0
    cancel_grace: float = 2.0
    deadline: float = 5.0
    deadline_share: float = 0.1
    late: float = 2.0


TIMING = Timing()
"""What holds for sessions that are told nothing else."""
