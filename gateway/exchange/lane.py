"""What all exchanges of one route share: its gate, its breaker, its numbers."""

from __future__ import annotations

import logging
import math
from time import monotonic
from typing import TYPE_CHECKING

from gateway.deadlines import Deadlines
from gateway.errors import CalledInVain
from gateway.exchange.admission import Gate
from gateway.exchange.breaker import Breaker, BreakerState

if TYPE_CHECKING:
    from gateway.exchange.breaker import Trial
    from gateway.exchange.exchange import Exchange
    from gateway.exchange.run import ExchangeRun
    from gateway.routes import Route
    from gateway.telemetry import RouteTelemetry
    from gateway.timing import Timing

log = logging.getLogger("dialback.exchange")


class Lane:
    """One route as its exchanges see it.

    Attributes:
        route: its settings.
        gate: how many may invoke at a time.
        telemetry: its numbers.
        timing: how long to wait for whom.
        patience: with the functions that have not ended: the route's timeout.
    """

    def __init__(self, route: Route, telemetry: RouteTelemetry, timing: Timing) -> None:
        self.route = route
        self.gate = Gate(route.concurrency, route.queue)
        self.telemetry = telemetry
        self.timing = timing
        self.patience: Deadlines[ExchangeRun] = Deadlines(
            route.timeout, lambda run: run.out_of_time()
        )
        self._breaker = Breaker(timing.breaker_pause, self._on_breaker)

    def check(self) -> None:
        """See whether the function is being called at all.

        Raises:
            CalledInVain: not now.
        """
        if self._breaker.state is not BreakerState.CLOSED:
            seconds = self._breaker.wait(monotonic())
            if seconds is not None:
                raise self._in_vain(seconds)

    async def enter(self) -> Trial:
        """Take a place at the gate, waiting for one if the queue has room; `gate.leave` gives it back.

        Raises:
            Overloaded: the queue is full, or the gateway begins to drain.
            CalledInVain: meanwhile the function turned out to be called in vain.
        """
        waited = 0.0 if self.gate.take() else await self._queue()
        now = monotonic()
        trial = self._breaker.admit(now)
        if trial is None:
            self.gate.leave()
            raise self._in_vain(self._breaker.wait(now))
        self.telemetry.queue_wait.observe(waited)
        return trial

    async def _queue(self) -> float:
        """Wait for a place, and return for how long.

        Raises:
            Overloaded: as `enter`.
            CalledInVain: the function is not being called now.
        """
        self.check()
        begun = monotonic()
        self.telemetry.queue_depth += 1
        try:
            await self.gate.enter()
        finally:
            self.telemetry.queue_depth -= 1
        return monotonic() - begun

    def count_attach(self, exchange: Exchange) -> None:
        """A callback joined: note how long that took, or how long there was none."""
        now = monotonic()
        if exchange.attaches:
            self.telemetry.resume.observe(now - (exchange.detached or now))
        elif exchange.invoked is not None:
            self.telemetry.attach.observe(now - exchange.invoked)
        exchange.attaches += 1
        exchange.detached = None

    def _in_vain(self, seconds: float | None) -> CalledInVain:
        return CalledInVain("the breaker is open", retry_after=math.ceil(seconds or 0.0))

    def _on_breaker(self, state: BreakerState, pause: float) -> None:
        self.telemetry.breaker_state = int(state)
        path = self.route.label
        if state is BreakerState.OPEN:
            self.telemetry.breaker_openings += 1
            log.warning(
                "route %s: the function is called in vain; no calls for %.1f s", path, pause
            )
        elif state is BreakerState.CLOSED:
            log.info("route %s: the function reaches this gateway again", path)
