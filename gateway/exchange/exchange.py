"""One request and its one response: what state it is in, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.exchange.states import IGNORED, MACHINE, TABLE, Event, State

if TYPE_CHECKING:
    from gateway.errors import GatewayError


class Exchange:
    """The model that the state machine moves, and what operators ask about it.

    Attributes:
        id: 32 hex digits; also the stream's xid and the event's requestId.
        route: the route's path, as configured.
        method: of the request.
        state: where it is; only `on` changes it.
        started: when it began (monotonic seconds).
        ended: when it reached a terminal state, or None.
        head_started: whether the response head is on its way to the client.
        status: the response status sent, or None.
        attaches: callbacks that joined; each but the first resumed the stream.
        client_left: whether the client is gone although the function goes on for it.
        body_bytes: response body bytes that the client's transport was handed.
        failure: why it failed, if it did, or its function after the client had left; only as long as it is being served.
        ignored: late events that changed nothing.
    """

    __slots__ = (
        "attaches",
        "body_bytes",
        "client_left",
        "ended",
        "failure",
        "head_started",
        "id",
        "ignored",
        "method",
        "route",
        "started",
        "state",
        "status",
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
        self.attaches = 0
        self.client_left = False
        self.body_bytes = 0
        self.failure: GatewayError | None = None
        self.ignored = 0

    def on(self, event: Event, now: float, failure: GatewayError | None = None) -> None:
        """Let an event happen.

        Args:
            event: what happened.
            now: monotonic seconds.
            failure: kept as the reason if this is the event that ends the exchange.

        Raises:
            transitions.MachineError: the table holds the event impossible in this state: a bug.
        """
        if TABLE[self.state].get(event, event) is IGNORED:
            self.ignored += 1
            return
        MACHINE.events[event.name].trigger(self)
        if self.state.terminal:
            self.ended = now
            self.failure = failure or self.failure
