"""Takes a request from the edge to the end of its response: the one entry to the exchange room."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from gateway.errors import Draining, GatewayError, MemoryUsedUp, RequestBodyTooLarge
from gateway.exchange.admission import RETRY_AFTER
from gateway.exchange.exchange import Exchange
from gateway.exchange.invocation import client_context
from gateway.exchange.lane import Lane
from gateway.exchange.leg import InvokeLeg
from gateway.exchange.listing import listed
from gateway.exchange.run import ExchangeRun
from gateway.exchange.states import Event
from gateway.invoke.base import HttpCall, Invocation
from gateway.invoke.event import build_event
from gateway.invoke.event_v1 import build_event_v1
from gateway.journal.budget import TIGHT_WINDOW
from gateway.tokens import Grant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.exchange.breaker import Trial
    from gateway.exchange.invocation import CallbackOffer
    from gateway.invoke.base import Invoker
    from gateway.journal.store import JournalStore
    from gateway.messages import EdgeRequest, ResponseSink
    from gateway.routes import Route
    from gateway.telemetry import Telemetry
    from gateway.timing import Timing
    from gateway.tokens import Tokens

FIRST_INVOCATION = 1
"""`inv` of the only invocation that an exchange has until streams are handed over."""

RECENT_EXCHANGES = 50  # ended ones that operators still see: a screenful


class Driver:
    """Serves requests on routes; one for the whole gateway."""

    def __init__(
        self,
        invokers: Mapping[str, Invoker],
        store: JournalStore,
        tokens: Tokens,
        telemetry: Telemetry,
        offer: CallbackOffer,
        timing: Timing,
    ) -> None:
        """Take the parts; `invokers` by the route's path."""
        self._invokers = invokers
        self._store = store
        self._tokens = tokens
        self._telemetry = telemetry
        self._usual_offer = offer
        self._tight_offer = replace(offer, window=min(offer.window, TIGHT_WINDOW))
        self._timing = timing
        self._lanes: dict[str, Lane] = {}
        self._active: dict[str, Exchange] = {}
        self._recent: deque[Exchange] = deque(maxlen=RECENT_EXCHANGES)
        self._runs: dict[ExchangeRun, None] = {}  # no set: its order is the addresses'
        telemetry.under_way = self._active.values()
        self._legs: dict[InvokeLeg, None] = {}
        self._all_returned: asyncio.Future[None] | None = None
        self._draining = False

    def exchanges(self) -> list[Exchange]:
        """Return those under way, oldest first, and before them the ones that ended last."""
        return [*self._recent, *self._active.values()]

    def listed(self, now: float) -> list[dict[str, Any]]:
        """Describe them for operators; of those under way not all, if there are very many."""
        return listed(self._recent, self._active.values(), now)

    def refuse(self) -> None:
        """Admit nothing more; those that wait at a gate have not been served yet, and go as well."""
        self._draining = True
        for lane in self._lanes.values():
            lane.gate.refuse_waiting()

    async def returned(self, seconds: float | None = None) -> bool:
        """Wait until every function has returned, `seconds` at most; whether they have."""
        if self._legs:
            self._all_returned = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._all_returned,), timeout=seconds)
        return not self._legs

    def cut(self) -> bool:
        """Break off whatever is under way: functions are told, clients see that it is not whole.

        Returns:
            Whether anything was.
        """
        runs = list(self._runs)
        for run in runs:
            error = Draining("the drain deadline", retry_after=RETRY_AFTER)
            run.happen(Event.DRAIN_EXPIRED, error)
        return bool(runs)

    async def close(self) -> None:
        """Give up on every invoke leg that is still pending."""
        for lane in self._lanes.values():
            lane.patience.close()
        for leg in self._legs:
            leg.cancel()
        await self.returned()

    # ------------------------------------------------------------ serving

    async def serve(
        self, request: EdgeRequest, route: Route, sink: ResponseSink, exchange_id: str
    ) -> None:
        """Serve one request; returns once the client has its response, clean or visibly broken.

        Raises:
            GatewayError: it failed before a response head was sent.
            asyncio.CancelledError: the client left.
        """
        exchange = Exchange(exchange_id, route=route.label, method=request.method, now=monotonic())
        lane = self._lanes.get(route.label) or self._make_lane(route)
        self._active[exchange_id] = exchange
        sink.exchange = exchange
        try:
            body, whole, trial = await self._admit(exchange, request, lane)
            run = self._begin(exchange, request, sink, lane, trial, body if whole else None)
            try:
                if not whole:
                    run.upload(body)
                await run.drive()
            finally:
                self._runs.pop(run, None)
                self._store.bury(run.journal, monotonic())
        except GatewayError as error:
            exchange.status = error.status  # the edge answers with it
            raise
        finally:
            del self._active[exchange_id]
            exchange.close(monotonic())
            self._recent.append(exchange)
            seconds = (exchange.ended or exchange.started) - exchange.started
            lane.telemetry.end(exchange.state.outcome, exchange.reason, seconds, exchange)

    async def _admit(
        self, exchange: Exchange, request: EdgeRequest, lane: Lane
    ) -> tuple[bytes, bool, Trial]:
        """Read what the event carries of the body, and whether that is all; then take a place.

        In this order: a client that sends slowly holds no place that others could use.
        """
        try:
            self._check_open()
            body, whole = b"", True
            if request.body.length != 0:
                lane.check()
                body, whole = await _read_body(request, lane.route)
                self._check_open()
                exchange.request_bytes = len(body)
            trial = await lane.enter()
        except GatewayError as error:
            exchange.on(Event.REFUSED, monotonic(), error)
            raise
        except asyncio.CancelledError:
            exchange.on(Event.CLIENT_GONE, monotonic())
            raise
        return body, whole, trial

    def _begin(
        self,
        exchange: Exchange,
        request: EdgeRequest,
        sink: ResponseSink,
        lane: Lane,
        trial: Trial,
        body: bytes | None,
    ) -> ExchangeRun:
        """Call the function; `body` None: it goes over the callback."""
        now = exchange.invoked = monotonic()
        offer = self._tight_offer if self._store.budget.tight else self._usual_offer
        run = ExchangeRun(exchange, request, sink, lane, trial)
        try:
            exchange.on(Event.ADMITTED, now)
            grant = self._grant(exchange, lane.route)
            run.invocation = _invocation(request, lane.route, grant, offer, body)
        except BaseException:
            trial.over()
            lane.gate.leave()
            raise
        invoker = self._invokers[lane.route.label]
        exchange.returned = False
        leg = InvokeLeg(exchange, run, lane, trial, invoker, self._leg_ended)
        self._legs[leg] = None
        leg.call()  # from here on the place is the leg's
        # The function is on its way, and comes to its journal in a later turn of the loop.
        self._store.open(run.open_journal(offer, grant, upload=body is None))
        self._runs[run] = None
        return run

    def _check_open(self) -> None:
        if self._draining:
            raise Draining(retry_after=RETRY_AFTER)
        if not self._store.budget.admit():
            raise MemoryUsedUp("the memory budget is used up", retry_after=RETRY_AFTER)

    def _make_lane(self, route: Route) -> Lane:
        telemetry = self._telemetry.route(route.label)
        lane = self._lanes[route.label] = Lane(route, telemetry, self._timing)
        return lane

    # ------------------------------------------------------------ the invoke leg

    def _grant(self, exchange: Exchange, route: Route) -> Grant:
        """Mint the right to attach; it outlives the route's timeout by two resume times."""
        xid = bytes.fromhex(exchange.id)
        lifetime = route.timeout + 2 * self._timing.resume_grace
        token = self._tokens.mint(xid, FIRST_INVOCATION, now=time.time(), lifetime=lifetime)
        return Grant(xid, FIRST_INVOCATION, token)

    def _leg_ended(self, leg: InvokeLeg) -> None:
        self._legs.pop(leg, None)
        if not self._legs and self._all_returned is not None and not self._all_returned.done():
            self._all_returned.set_result(None)


async def _read_body(request: EdgeRequest, route: Route) -> tuple[bytes, bool]:
    """Return what goes into the event, and whether it is the whole body."""
    length, limit = request.body.length, route.inline_body_max
    most = route.request_body_max
    if most is not None and length is not None and length > most:
        raise RequestBodyTooLarge.over(most)
    if route.request_body == "stream":
        return b"", False
    if route.request_body == "spill" and length is not None and length > limit:
        return b"", False
    if length is not None and length > limit:
        raise RequestBodyTooLarge.over(limit)
    body, whole = await request.body.read_up_to(limit)
    if not whole and route.request_body == "inline":
        raise RequestBodyTooLarge.over(limit)
    return body, whole


def _invocation(
    request: EdgeRequest, route: Route, grant: Grant, offer: CallbackOffer, body: bytes | None
) -> Invocation:
    """Write what the function is called with; `body` None: it goes over the callback."""
    upload = None if body is not None else _length_for_envelope(request)
    build = build_event if route.payload == "2.0" else build_event_v1
    event = build(request, exchange_id=grant.xid.hex(), body=body or None, now=time.time())
    return Invocation(
        event=event,
        client_context=client_context(offer, grant, upload=upload),
        timeout=route.timeout,
        call=HttpCall(
            request.method,
            request.path,
            request.query,
            request.headers,
            body or b"",
        ),
        trace_id=request.trace_id,
    )


def _length_for_envelope(request: EdgeRequest) -> int:
    length = request.body.length
    return -1 if length is None else length
