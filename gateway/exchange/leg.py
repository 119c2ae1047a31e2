"""The invoke leg of one exchange: calls the function, at most once, and tells what came of it.

The leg outlives the response: once the client has everything the call is still pending, and it holds
its place at the gate until it ends.
"""

from __future__ import annotations

import logging
from random import uniform
from time import monotonic
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.errors import FunctionUnreachable, GatewayError, InvokeNotSent, NotInvoked
from gateway.exchange.invocation import Outcome, outcome_of_failure, read_outcome
from gateway.invoke.base import InvokeOutcomeUnknown

if TYPE_CHECKING:
    from gateway.exchange.breaker import Trial
    from gateway.exchange.exchange import Exchange
    from gateway.exchange.lane import Lane
    from gateway.exchange.run import ExchangeRun
    from gateway.invoke.base import Invoker

log = logging.getLogger("dialback.exchange")

RETRIES = 2
"""Further tries of a call that provably did not take place. What two short pauses do not mend is no
hiccup: then the client, who is told when, comes back better than we wait."""


class InvokeLeg:
    """One call, from the moment that its place at the gate is taken.

    Args:
        exchange: which it is about.
        run: told the outcome.
        lane: of the route; its gate is left when the call has ended.
        trial: told what the outcome says about the way to the function.
        invoker: calls.
    """

    def __init__(
        self,
        exchange: Exchange,
        run: ExchangeRun,
        lane: Lane,
        trial: Trial,
        invoker: Invoker,
    ) -> None:
        self._exchange = exchange
        self._run = run
        self._lane = lane
        self._trial = trial
        self._invoker = invoker

    async def call(self) -> None:
        """Call the function and wait until it returned, or until nobody can tell any more."""
        try:
            outcome = await self._call()
            self._lane.telemetry.invokes[outcome.name] += 1
            self._run.take_outcome(outcome)
        finally:
            self._lane.gate.leave()
            self._count_ignored(self._run.leg_ended())
            self._exchange.function_returned()

    async def _call(self) -> Outcome:
        """Call, and call again as long as the function provably did not run."""
        begun = monotonic()
        for attempt in range(RETRIES):
            try:
                return await self._call_once()
            except NotInvoked as error:
                over = await self._run.over_within(self._pause(attempt))
                invocation = self._run.invocation
                if over or invocation is None:
                    return Outcome(failure=error)
                self._lane.telemetry.invokes[error.reason] += 1
                left = invocation.timeout - (monotonic() - begun)
                self._run.invocation = replace(invocation, timeout=max(left, 0.0))
                del invocation
        try:
            return await self._call_once()
        except NotInvoked as error:
            if isinstance(error, InvokeNotSent):
                self._trial.in_vain(monotonic())
            return Outcome(failure=error)

    async def _call_once(self) -> Outcome:
        self._exchange.calls += 1
        assert self._run.invocation is not None  # noqa: S101 - else it would have run
        try:
            result = await self._invoker.invoke(self._run.invocation)
        except NotInvoked:
            raise
        except (GatewayError, InvokeOutcomeUnknown) as error:
            if isinstance(error, FunctionUnreachable):
                self._trial.in_vain(monotonic())
            return outcome_of_failure(error)
        except Exception as error:
            log.exception("the invoker of route %s failed", self._lane.route.label)
            return outcome_of_failure(error)
        self._exchange.request_id = result.request_id
        outcome = read_outcome(result, self._lane.route.payload)
        self._judge(outcome)
        return outcome

    def _pause(self, attempt: int) -> float:
        """Full jitter: whoever was refused together does not come back together."""
        return uniform(0.0, self._lane.timing.retry_pause * 2**attempt)  # noqa: S311 - no secret

    def _judge(self, outcome: Outcome) -> None:
        """Tell the breaker what the return of the function proves."""
        receipt = outcome.receipt
        if outcome.answer is not None:
            self._trial.answered()
        elif isinstance(outcome.failure, FunctionUnreachable):
            self._trial.in_vain(monotonic())
        elif receipt is None:
            self._trial.ran()
        elif receipt.dial is not None and receipt.tail is None:
            self._trial.in_vain(monotonic())
        else:
            self._trial.reached()

    def _count_ignored(self, seconds: float) -> None:
        if seconds > self._lane.timing.cancel_grace:
            self._lane.telemetry.cancel_ignored_seconds += seconds
