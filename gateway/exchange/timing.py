"""How long an exchange waits for whom, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The timers of an exchange that are not its route's own (protocol SPEC, timers).

    Attributes:
        attach_timeout: for a callback, once the network of the invoke leg failed: a cold start takes
            up to 10 s, and its dial another few.
        resume_grace: for a lost callback to come back: twice as long as the function tries, so that
            the tail in its receipt still finds the exchange.
        write_stall: for a client that takes nothing: five minutes, as long as the most patient
            proxies (Envoy) wait.
    """

    attach_timeout: float = 20.0
    resume_grace: float = 30.0
    write_stall: float = 300.0
