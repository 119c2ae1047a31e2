"""One request and its one response: what state it is in, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.errors import GatewayError
from gateway.exchange.states import EVENTS, MOVES, TABLE, Event, State
from protocol.limits import shorten

if TYPE_CHECKING:
    from collections.abc import Callable

OWN_REASONS: Final = {
    Event.CLIENT_GONE: "the client closed its connection first",
    Event.STREAM_FAILED: "the stream broke a rule, or the function reset it: it raised, or ran out of time",
    Event.ATTACH_EXPIRED: "the call's own outcome is unknown, and nothing attached within `attach_timeout`",
    Event.HEAD_EXPIRED: "a callback attached, and no head came within the route's `head_timeout`",
    Event.RESUME_EXPIRED: "a lost callback did not come back within `resume_grace`",
    Event.ROUTE_TIMEOUT: "no end within the route's `timeout`",
    Event.WRITE_STALLED: "the client took nothing for `write_stall`",
    Event.DRAIN_EXPIRED: "the gateway went down, and waited `drain_deadline`",
}
"""Events that say more than the error that comes with them, and what they mean to operators."""


class Exchange:
    """The model that the state machine moves, and what operators ask about it.

    Attributes:
        id: 32 hex digits; also the stream's xid and the event's requestId.
        route: the route's path, as configured.
        method: of the request.
        state: where it is; only `on` changes it.
        started: when it began (monotonic seconds).
        ended: when it reached a terminal state, or None.
        cause: the event that ended it, or None.
        head_started: whether the response head is on its way to the client.
        status: the response status sent, or None.
        ttfb: seconds until the head was on its way, or None.
        calls: how often its function was called.
        request_id: Lambda's, of the last call; empty as long as it is not known.
        returned: whether no call is pending.
        on_return: called when that changes.
        invoked: when its function was first called, or None.
        detached: when its callback was lost, unless it is back.
        attaches: callbacks that joined; each but the first resumed the stream.
        client_left: whether the client is gone although the function goes on for it.
        body_bytes: response body bytes that the client's transport was handed.
        edge_writes: writes that carried them.
        data_frames: DATA frames with new bytes that came over callbacks.
        request_bytes: request body bytes that went into the event or towards the callback.
        reason: one word for how it ended; see `close`.
        note: the failure in a sentence, once it is closed; or why it was not streamed.
        failure: why it failed, if it did, or its function after the client had left; only as long as it is being served.
        ignored: late events that changed nothing.
    """

    __slots__ = (
        "attaches",
        "body_bytes",
        "calls",
        "cause",
        "client_left",
        "data_frames",
        "detached",
        "edge_writes",
        "ended",
        "failure",
        "head_started",
        "id",
        "ignored",
        "invoked",
        "method",
        "note",
        "on_return",
        "reason",
        "request_bytes",
        "request_id",
        "returned",
        "route",
        "started",
        "state",
        "status",
        "ttfb",
    )

    def __init__(self, exchange_id: str, *, route: str, method: str, now: float) -> None:
        self.id = exchange_id
        self.route = route
        self.method = method
        self.state = State.RECEIVED
        self.started = now
        self.ended: float | None = None
        self.head_started = False
        self.status: int | None = None
        self.invoked: float | None = None
        self.detached: float | None = None
        self.attaches = 0
        self.client_left = False
        self.body_bytes = 0
        self.edge_writes = 0
        self.data_frames = 0
        self.request_bytes = 0
        self.cause: Event | None = None
        self.reason = self.note = self.request_id = ""
        self.ttfb: float | None = None
        self.calls = 0
        self.returned = True
        self.on_return: Callable[[], None] | None = None
        self.failure: GatewayError | None = None
        self.ignored = 0

    def on(self, event: Event, now: float, failure: GatewayError | None = None) -> bool:
        """Let an event happen.

        Args:
            event: what happened.
            now: monotonic seconds.
            failure: kept as the reason if this is the event that ends the exchange.

        Returns:
            Whether this is that event.

        Raises:
            transitions.MachineError: the table holds the event impossible in this state: a bug.
        """
        target = MOVES[event].get(self.state)
        if target is None:
            if event in TABLE[self.state]:
                self.ignored += 1
            else:
                EVENTS[event].trigger(self)  # raises
            return False
        self.state = target
        if target.terminal:
            self.ended = now
            self.cause = event
            self.failure = failure or self.failure
        return target.terminal

    @property
    def outcome(self) -> str:
        """``completed``, ``failed`` or ``cancelled``, once it is being served no more."""
        return self.state.outcome

    def close(self, now: float) -> None:
        """Nobody serves it any more: keep the reason in one word, and nothing of the request.

        ``completed`` is ``streamed`` if a callback joined, else ``inline``; a failure is named by what ran
        out (`OWN_REASONS`), or by its error.
        """
        failure, self.failure = self.failure, None  # its traceback would keep the request's body
        if self.ended is None:
            self.ended = now
        if failure is not None:
            self.note = shorten(f"{type(failure).__name__}: {failure}")
        if self.state is State.COMPLETED:
            self.reason = "streamed" if self.attaches else "inline"
        elif self.cause is not None and (self.cause in OWN_REASONS or failure is None):
            self.reason = self.cause.value
        else:
            self.reason = GatewayError.reason if failure is None else failure.reason

    def function_returned(self) -> None:
        """No call is pending any more."""
        self.returned = True
        if self.on_return is not None:
            self.on_return()
