"""One exchange under way: everything that happens to it comes in here, one thing after the other.

Three sources: the journal (what the function streams), the invoke leg, and the client with the clock.
Each becomes an event of the state machine. Body bytes do not pass through here: the `Forwarder`
carries them from the journal to the client.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from gateway.errors import (
    ClientBodyError,
    FunctionFailed,
    FunctionTimedOut,
    FunctionUnreachable,
    GatewayError,
    RequestBodyTooLarge,
)
from gateway.exchange.forwarder import Forwarder
from gateway.exchange.invocation import NOT_DIALLED
from gateway.exchange.onward import Onward
from gateway.exchange.reasons import CANCEL_CODES, failure_of_reset
from gateway.exchange.states import MOVES, Event, State
from gateway.exchange.timers import Timers
from gateway.flag import Flag
from gateway.journal.memory import MemoryJournal
from protocol.errors import CancelCode, ProtocolError
from protocol.headers import content_length
from protocol.limits import shorten

if TYPE_CHECKING:
    from gateway.exchange.breaker import Trial
    from gateway.exchange.exchange import Exchange
    from gateway.exchange.invocation import CallbackOffer, Outcome
    from gateway.exchange.lane import Lane
    from gateway.invoke.base import Invocation
    from gateway.invoke.result import BufferedResponse
    from gateway.messages import EdgeRequest, ResponseSink
    from gateway.tokens import Grant
    from protocol.frames import Head
    from protocol.receipt import Receipt

BODILESS_STATUSES = frozenset({204, 304})
"""RFC 9110 sections 15.3.5 and 15.4.5: no body follows, whatever the function sends."""


class ExchangeRun:
    """Drives one admitted exchange to its terminal state. It is the reader of its journal.

    Attributes:
        over: whether it has come to its terminal state, or cannot come to one.
        journal: the bytes on their way.
        invocation: what the function is called with, as long as it may not have been.
    """

    def __init__(
        self,
        exchange: Exchange,
        request: EdgeRequest,
        sink: ResponseSink,
        lane: Lane,
        trial: Trial,
    ) -> None:
        self._exchange = exchange
        self._request = request
        self._sink = sink
        self._lane = lane
        self._trial = trial
        self._telemetry = lane.telemetry
        self._timing = lane.timing
        self._loop = asyncio.get_running_loop()
        self._beginning = False  # a turn of the loop is coming to begin the response
        self._bug: Exception | None = None  # what kept the response from beginning
        self._timers: Timers | None = None  # made for the first that is armed
        self._forwarder: Forwarder | Onward | None = None
        self._upload: asyncio.Task[None] | None = None
        self._left: Event | None = None  # how the client went whose function goes on
        self._returned = False  # the invoke leg has ended
        self._cancelled: float | None = None  # when the function was told to stop
        self.invocation: Invocation | None = None
        self.over = Flag()
        self.journal: MemoryJournal

    def open_journal(self, offer: CallbackOffer, grant: Grant, *, upload: bool) -> MemoryJournal:
        """Make the journal; `upload` if the request body goes over the callback."""
        self.journal = MemoryJournal(
            grant,
            self,
            window=offer.window,
            limits=offer.limits,
            upload=upload,
            check_length=self._request.method != "HEAD",
        )
        return self.journal

    # ------------------------------------------------------------ what the journal calls

    def on_attached(self) -> None:
        """A callback is bound."""
        self.invocation = None
        if self._timers is not None:
            self._timers.disarm(Event.RESUME_EXPIRED)
            self._timers.disarm(Event.ATTACH_EXPIRED)
        self._lane.count_attach(self._exchange)
        self._trial.reached()
        self.happen(Event.ATTACHED)
        self._go_on_soon()  # before the ATTACH is answered: what came with it is the client's first
        seconds = self._lane.route.head_timeout
        if self._exchange.attaches == 1 and seconds is not None:
            reason = FunctionTimedOut(f"no response head within {seconds:g} s")
            self._arm(Event.HEAD_EXPIRED, seconds, reason)

    def on_detached(self) -> None:
        """The callback is lost: wait for it to come back."""
        self.happen(Event.DETACHED)
        if self._exchange.state is State.DETACHED:
            self._exchange.detached = monotonic()
            reason = FunctionFailed("the callback was lost and did not come back")
            self._arm(Event.RESUME_EXPIRED, self._timing.resume_grace, reason)

    def on_head(self) -> None:
        """The response can begin."""
        if self._timers is not None:
            self._timers.disarm(Event.HEAD_EXPIRED)
        self._go_on_soon()

    def on_data_frame(self) -> None:
        """A DATA frame came over a callback."""
        self._exchange.data_frames += 1
        if self._forwarder is not None:
            self._forwarder.readable()

    def on_ended(self) -> None:
        """The whole response is here."""
        self._lane.patience.end(self)
        self.happen(Event.ENDED)
        self._go_on_soon()

    def on_failed(self, code: int, reason: str) -> None:
        """The stream can never end cleanly; what came before is still the client's."""
        if self._forwarder is not None:
            self._forwarder.move()
        self.happen(Event.STREAM_FAILED, failure_of_reset(code, reason))

    # ------------------------------------------------------------ the invoke leg

    def take_outcome(self, outcome: Outcome) -> None:
        """The invoke leg has ended."""
        self._returned = True
        if outcome.failure is not None:
            self.happen(Event.INVOKE_FAILED, outcome.failure)
        elif outcome.answer is not None:
            self._take_answer(outcome.answer)
        elif outcome.receipt is not None:
            self._take_receipt(outcome.receipt)
        elif outcome.confirms:
            self.happen(Event.INVOKE_RETURNED)
        else:
            self.happen(Event.INVOKE_UNKNOWN)
            if self._exchange.state is State.INVOKING:
                reason = FunctionTimedOut("the invoke leg was lost and no callback attached")
                self._arm(Event.ATTACH_EXPIRED, self._timing.attach_timeout, reason)

    def leg_ended(self) -> float:
        """Note that the call is over, with or without an outcome.

        Returns:
            For how many seconds the function had been told to stop.
        """
        self._returned = True
        if self.over.happened:
            self._trial.over()
        return 0.0 if self._cancelled is None else monotonic() - self._cancelled

    def _take_answer(self, answer: BufferedResponse) -> None:
        if self._exchange.state.terminal or self.journal.head is not None:
            self._returned_early("an ordinary answer")
        elif self._upload is not None and not self.journal.upload_acknowledged:
            public = (
                "the function left its request body unread: it was sent over the callback, because "
                'of the route\'s request_body; read it with lambda_client.request_body, or set "inline"'
            )
            self.happen(Event.INVOKE_FAILED, FunctionFailed(public=public))
        else:
            self.journal.serve(answer.status, answer.headers, answer.body)
            self.happen(Event.ANSWERED)
            self._go_on_soon()

    def _take_receipt(self, receipt: Receipt) -> None:
        if self._exchange.state.terminal:
            self.happen(Event.INVOKE_RETURNED)
        elif (receipt.xid, receipt.inv) != (self._exchange.id, self.journal.grant.inv):
            self.happen(Event.INVOKE_FAILED, FunctionFailed("a receipt for another exchange"))
        elif receipt.status == "reset":
            reason = failure_of_reset(receipt.code, "by the receipt")
            self.happen(Event.INVOKE_FAILED, reason)
        elif receipt.tail is None:
            self._returned_early(f"a receipt ({receipt.status}) without the rest", receipt.dial)
        else:
            self._take_tail(receipt)

    def _take_tail(self, receipt: Receipt) -> None:
        if receipt.dial is not None:
            self._exchange.note = shorten(
                f"not streamed (dialback doctor finds out more): {receipt.dial}"
            )
        try:
            self.journal.apply_receipt(receipt)
        except ProtocolError as error:
            self.happen(Event.INVOKE_FAILED, FunctionFailed(f"the receipt's tail: {error}"))

    def _returned_early(self, what: str, dial: str | None = None) -> None:
        detail = f"the function returned {what}"
        failure: GatewayError = FunctionFailed(detail)
        if dial is not None:
            failure = FunctionUnreachable(f"{detail}: {shorten(dial)}", public=NOT_DIALLED)
        self.happen(Event.INVOKE_FAILED, failure)

    # ------------------------------------------------------------ the client's side

    def out_of_time(self) -> None:
        """The function has not ended in time."""
        seconds = self._lane.route.timeout
        reason = FunctionTimedOut(f"no end within the route's timeout of {seconds:g} s")
        self.happen(Event.ROUTE_TIMEOUT, reason)

    async def drive(self) -> None:
        """Serve the response; returns once the client has a clean end, or a broken one.

        Raises:
            GatewayError: it failed before its head.
            asyncio.CancelledError: the client left.
        """
        self._lane.patience.begin(self)
        try:
            await self.over.wait()
        except asyncio.CancelledError:
            await self._client_left()
            raise
        finally:
            upload = self._release()
        if upload is not None:
            await asyncio.wait((upload,))  # the edge reads the rest of the request body
        if self._bug is not None or self._exchange.state is State.FAILED:
            await self._conclude()

    def upload(self, first: bytes) -> None:
        """Send the request body over the callback: `first`, then what the client still sends."""
        self._upload = asyncio.create_task(self._send_upload(first))

    def happen(self, event: Event, failure: GatewayError | None = None) -> None:
        """Let an event move the exchange."""
        seen = event if self._left is None else self._as_seen(event, self._left)
        if self._exchange.on(seen, monotonic(), failure) and not self.over.happened:
            self.over.set()
            if event is not Event.FLUSHED:
                self._cancel(event)
            if event is Event.ATTACH_EXPIRED:
                self._trial.silent(monotonic())
            if self._returned:
                self._trial.over()

    def _as_seen(self, event: Event, left: Event) -> Event:
        """Return what an event is to the exchange: one that its client left ends by that, whatever else."""
        after = MOVES[event].get(self._exchange.state)
        return left if after is not None and after.terminal else event

    def _arm(self, event: Event, seconds: float, failure: GatewayError) -> None:
        if self._timers is None:
            self._timers = Timers(self.happen)
        self._timers.arm(event, seconds, failure)

    async def _client_left(self) -> None:
        """The function stops, or goes on to its end; that is the route's choice."""
        if self._left is None and self._goes_on and self._sink.deserted:
            self._go_on(Event.CLIENT_GONE)
        try:
            if self._left is not None:
                await self.over.wait()
        finally:
            self.happen(Event.CLIENT_GONE)

    def _client_stalled(self) -> None:
        failure = FunctionTimedOut("the client took nothing any more")
        if self._goes_on:
            self._exchange.failure = failure
            self._go_on(Event.WRITE_STALLED)
            self._sink.abort()
        else:
            self.happen(Event.WRITE_STALLED, failure)

    @property
    def _goes_on(self) -> bool:
        return self._lane.route.on_disconnect == "continue"

    def _go_on(self, left: Event) -> None:
        self._left, self._exchange.client_left = left, True
        if self._forwarder is not None:
            self._forwarder.close()
        self._forwarder = Onward(self.journal, lambda: self.happen(Event.FLUSHED))
        self._forwarder.move()

    def _cancel(self, event: Event) -> None:
        code = CANCEL_CODES.get(event, CancelCode.FAILED)
        if self.journal.cancel(code, event.value) and not self._returned:
            self._cancelled = monotonic()
            self._telemetry.cancels[event.value] += 1

    def _go_on_soon(self) -> None:
        """Begin the response at the end of this turn of the loop, or go on: what came together leaves together."""
        if self._forwarder is not None:
            self._forwarder.readable()
        elif not self._beginning and not self._exchange.head_started:
            self._beginning = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._beginning = False
        head = self.journal.head
        if head is None or self._left is not None or self._exchange.state.terminal:
            return
        alone = not self.journal.ended and content_length(head.headers) == 0
        if alone and not self._bodiless(head.status):
            return  # its client would take the head for a clean end
        try:
            self._begin_response(head)
        except Exception as error:  # noqa: BLE001 - `drive` raises it, where the edge answers
            self._bug = error
            self.over.set()

    def _begin_response(self, head: Head) -> None:
        bodiless = self._bodiless(head.status)
        # Of a whole answer its own length counts; without a body only what the function says of it.
        length = None if bodiless else self.journal.whole_length
        self._exchange.head_started = True
        self._exchange.status = head.status
        self._exchange.ttfb = monotonic() - self._exchange.started
        self._telemetry.ttfb.observe(self._exchange.ttfb)
        self._sink.begin(head.status, head.headers, length=length)
        if bodiless:
            self._end_response(Event.BODILESS)
            return
        self._forwarder = Forwarder(
            self.journal,
            self._sink,
            self._exchange,
            write_stall=self._timing.write_stall,
            on_flushed=self._end_response,
            on_stalled=self._client_stalled,
        )
        self._forwarder.move()

    def _end_response(self, event: Event = Event.FLUSHED) -> None:
        """Write the clean end and complete, in one step: neither is ever without the other."""
        self.happen(event if self._sink.end() else Event.CLIENT_GONE)

    def _bodiless(self, status: int) -> bool:
        return self._request.method == "HEAD" or status in BODILESS_STATUSES

    async def _conclude(self) -> None:
        if self._bug is not None:
            raise self._bug
        failure = self._exchange.failure or FunctionFailed("no reason is known")
        if not self._exchange.head_started:
            try:
                raise failure
            finally:
                del failure  # with its traceback, this frame would keep the request's body
        await self._sink.break_off(failure.public)

    async def _send_upload(self, first: bytes) -> None:
        try:
            await self.journal.upload(first)
            async for chunk in self._request.body.chunks():
                self._exchange.request_bytes += len(chunk)
                await self.journal.upload(chunk)
        except (ClientBodyError, RequestBodyTooLarge) as error:
            self.happen(Event.UPLOAD_FAILED, error)
        else:
            self.journal.finish_upload()

    def _release(self) -> asyncio.Task[None] | None:
        """Let go of whatever refers to this run, and return the upload, which comes to its end.

        What is left in a circle stays until the garbage collector looks, and with it what this run holds.
        """
        self._lane.patience.end(self)
        if self._timers is not None:
            self._timers.close()
        if self._forwarder is not None:
            self._forwarder.close()
            self._forwarder = None
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.cancel()
        return upload
