"""How long the gateway waits for whom, in seconds."""

from __future__ import annotations

from typing import Annotated

import msgspec

from protocol.limits import Limits

SHORTEST, LONGEST = 0.01, 86_400.0
"""Shorter than a turn of a busy loop, a timer only does harm; longer than a day is a slip in the unit."""

Seconds = Annotated[float, msgspec.Meta(ge=SHORTEST, le=LONGEST)]


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The timers that are not a route's own: the ``[gateway.timing]`` table (protocol SPEC, timers).

    Attributes:
        attach_timeout: for a callback, once the network of the invoke leg failed: a cold start takes
            up to 10 s, and its dial another few.
        resume_grace: for a lost callback to come back: twice as long as the function tries, so that
            the tail in its receipt still finds the exchange.
        request_head: for a new connection to send its first request head (a later one has the 75 s of
            keep-alive): nobody's network takes longer, and a socket is all that such a client costs.
        upload_grace: for a client that keeps the function waiting for its request body; beyond, 1,000
            bytes a second are wanted. A phone that changes its network is back within it.
        write_stall: for a client that takes nothing, or vanished without a word: five minutes, as long as
            the most patient proxies (Envoy) wait.
        ping: silence on a callback with an active stream before a PING asks: load balancers cut a
            quiet connection after 60 s, and a dead one should be found before its user gives up.
        dead: so much later still nothing, and the callback is lost.
        park_ttl: for a parked callback to be of use again: under the 350 s after which NAT gateways
            and network load balancers of AWS forget an idle connection.
        retry_pause: at most, before a call that did not take place is tried again; twice as long the
            next time. A throttled function is free again as soon as one of its calls ends.
        cancel_grace: for a function to return once it was told to stop: as long as its library leaves
            the handler. The seconds of those that take longer are counted.
        breaker_pause: without calls once a function was called in vain several times in a row: a
            deploy or a failover is rarely shorter, and nobody waits much longer.
    """

    attach_timeout: Seconds = 20.0
    resume_grace: Seconds = 30.0
    request_head: Seconds = 30.0
    upload_grace: Seconds = 30.0
    write_stall: Seconds = 300.0
    ping: Seconds = 10.0
    dead: Seconds = 10.0
    park_ttl: Seconds = 300.0
    retry_pause: Seconds = 0.25
    cancel_grace: Seconds = 2.0
    breaker_pause: Seconds = 5.0

    def limits(self) -> Limits:
        """Return what functions are told of it."""
        return Limits(
            ping_ms=round(self.ping * 1000),
            dead_ms=round(self.dead * 1000),
            park_ttl_ms=round(self.park_ttl * 1000),
            resume_grace_ms=round(self.resume_grace * 1000),
        )
