"""The life of an exchange, as data. Everything about its states is in this file.

The state is what the function's leg is doing. Two more things matter and are side variables of the
exchange, not states: whether the response head is on its way to the client, and whether the client is
still there. One whose client has left and whose function goes on (``on_disconnect``) lives on in the same
states, and ends CANCELLED whatever comes of it. The table is total: for each state, every event is either a transition, or ignored (it
arrives late and changes nothing; counted), or impossible (a bug: it raises). Body bytes never pass
through here: they are nobody's event.

    RECEIVED --> INVOKING --> STREAMING <--> DETACHED
                    |             |              |
                    +-------------+------> FLUSHING --> COMPLETED
    and from everywhere: FAILED, CANCELLED
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, cast

from transitions import Machine, MachineError
from transitions.core import Event as MachineEvent
from transitions.core import Transition
from typing_extensions import override


class State(Enum):
    """Where an exchange is."""

    __hash__ = object.__hash__  # Enum's own is a Python function, and these are keys of every table

    RECEIVED = "received"
    """The request is read and waits for admission; nothing was invoked."""
    INVOKING = "invoking"
    """The function was called; no callback has attached."""
    STREAMING = "streaming"
    """A callback is attached."""
    DETACHED = "detached"
    """The callback was attached and is lost; it may come back."""
    FLUSHING = "flushing"
    """The whole response is held; the client has yet to take the rest of it."""
    COMPLETED = "completed"
    """The client got everything, and a clean end."""
    FAILED = "failed"
    """The client got an error, or a visibly broken end."""
    CANCELLED = "cancelled"
    """The client left first."""

    terminal: bool
    """Whether nothing can follow."""
    outcome: str
    """How one ended that is served no more: ``completed``, ``failed`` or ``cancelled``."""


TERMINAL: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})
for _state in State:
    _state.terminal = _state in TERMINAL
    _state.outcome = (_state if _state.terminal else State.FAILED).value


class Event(Enum):
    """What can happen to an exchange."""

    __hash__ = object.__hash__

    ADMITTED = "admitted"
    """There is room: the function is being called."""
    REFUSED = "refused"
    """Overload, drain or a bad request: nothing is called."""
    ATTACHED = "attached"
    """A callback connection joined."""
    DETACHED = "detached"
    """The bound callback connection is lost."""
    ENDED = "ended"
    """A valid END is held, streamed or from a receipt: every byte is here and the CRC matches."""
    STREAM_FAILED = "stream_failed"
    """The stream broke a rule, or the function reset it."""
    ANSWERED = "answered"
    """The invoke returned an ordinary payload 2.0 answer."""
    INVOKE_FAILED = "invoke_failed"
    """The invoke's result rules out a clean end."""
    INVOKE_UNKNOWN = "invoke_unknown"
    """The network failed on the invoke leg: the function may be running."""
    INVOKE_RETURNED = "invoke_returned"
    """A receipt that only confirms what is already known."""
    ATTACH_EXPIRED = "attach_expired"
    """Nothing attached in time after the invoke leg was lost."""
    HEAD_EXPIRED = "head_expired"
    """A callback attached, and no response head came in time."""
    RESUME_EXPIRED = "resume_expired"
    """The callback did not come back in time."""
    ROUTE_TIMEOUT = "route_timeout"
    """The route's patience is over."""
    BODILESS = "bodiless"
    """The head is out and by HTTP's rules no body follows it (HEAD, 204, 304)."""
    FLUSHED = "flushed"
    """The client's transport took the last byte."""
    WRITE_STALLED = "write_stalled"
    """The client takes nothing any more."""
    UPLOAD_FAILED = "upload_failed"
    """The client broke off in the middle of its request body."""
    DRAIN_EXPIRED = "drain_expired"
    """The gateway is going down, and waits no longer."""
    CLIENT_GONE = "client_gone"
    """The client closed its connection."""


IGNORED: Final = None
"""In the table: the event is late, changes nothing, and is counted."""

_LATE: dict[Event, State | None] = dict.fromkeys(
    (
        Event.ATTACHED,
        Event.DETACHED,
        Event.ENDED,
        Event.STREAM_FAILED,
        Event.ANSWERED,
        Event.INVOKE_FAILED,
        Event.INVOKE_UNKNOWN,
        Event.INVOKE_RETURNED,
        Event.ATTACH_EXPIRED,
        Event.HEAD_EXPIRED,
        Event.RESUME_EXPIRED,
        Event.ROUTE_TIMEOUT,
        Event.BODILESS,
        Event.FLUSHED,
        Event.WRITE_STALLED,
        Event.UPLOAD_FAILED,
        Event.DRAIN_EXPIRED,
        Event.CLIENT_GONE,
    ),
    IGNORED,
)

TABLE: Final[dict[State, dict[Event, State | None]]] = {
    State.RECEIVED: {
        Event.ADMITTED: State.INVOKING,
        Event.REFUSED: State.FAILED,
        Event.UPLOAD_FAILED: State.FAILED,
        Event.CLIENT_GONE: State.CANCELLED,
    },
    State.INVOKING: {
        Event.ATTACHED: State.STREAMING,
        Event.ENDED: State.FLUSHING,
        Event.STREAM_FAILED: State.FAILED,
        Event.ANSWERED: State.FLUSHING,
        Event.INVOKE_FAILED: State.FAILED,
        Event.INVOKE_UNKNOWN: IGNORED,
        Event.INVOKE_RETURNED: State.FAILED,
        Event.ATTACH_EXPIRED: State.FAILED,
        Event.ROUTE_TIMEOUT: State.FAILED,
        Event.UPLOAD_FAILED: State.FAILED,
        Event.DRAIN_EXPIRED: State.FAILED,
        Event.CLIENT_GONE: State.CANCELLED,
    },
    State.STREAMING: {
        Event.ATTACHED: IGNORED,
        Event.DETACHED: State.DETACHED,
        Event.ENDED: State.FLUSHING,
        Event.STREAM_FAILED: State.FAILED,
        Event.ANSWERED: State.FLUSHING,
        Event.INVOKE_FAILED: State.FAILED,
        Event.INVOKE_UNKNOWN: IGNORED,
        Event.INVOKE_RETURNED: State.FAILED,
        Event.ATTACH_EXPIRED: IGNORED,
        Event.HEAD_EXPIRED: State.FAILED,
        Event.RESUME_EXPIRED: IGNORED,
        Event.ROUTE_TIMEOUT: State.FAILED,
        Event.BODILESS: State.COMPLETED,
        Event.WRITE_STALLED: State.FAILED,
        Event.UPLOAD_FAILED: State.FAILED,
        Event.DRAIN_EXPIRED: State.FAILED,
        Event.CLIENT_GONE: State.CANCELLED,
    },
    State.DETACHED: {
        Event.ATTACHED: State.STREAMING,
        Event.ENDED: State.FLUSHING,
        Event.STREAM_FAILED: State.FAILED,
        Event.ANSWERED: State.FLUSHING,
        Event.INVOKE_FAILED: State.FAILED,
        Event.INVOKE_UNKNOWN: IGNORED,
        Event.INVOKE_RETURNED: State.FAILED,
        Event.ATTACH_EXPIRED: IGNORED,
        Event.HEAD_EXPIRED: State.FAILED,
        Event.RESUME_EXPIRED: State.FAILED,
        Event.ROUTE_TIMEOUT: State.FAILED,
        Event.BODILESS: State.COMPLETED,
        Event.WRITE_STALLED: State.FAILED,
        Event.UPLOAD_FAILED: State.FAILED,
        Event.DRAIN_EXPIRED: State.FAILED,
        Event.CLIENT_GONE: State.CANCELLED,
    },
    State.FLUSHING: {
        **_LATE,
        Event.BODILESS: State.COMPLETED,
        Event.FLUSHED: State.COMPLETED,
        Event.WRITE_STALLED: State.FAILED,
        Event.DRAIN_EXPIRED: State.FAILED,
        Event.CLIENT_GONE: State.CANCELLED,
    },
    State.COMPLETED: dict(_LATE),
    State.FAILED: dict(_LATE),
    State.CANCELLED: dict(_LATE),
}


class _PlainEvent(MachineEvent):
    """An event whose transitions have a target and nothing else.

    Its base looks for callbacks, conditions, a queue and nested states each time, which there are
    none of: 9 us and 60 calls.

    Attributes:
        targets: where it leads from each state, if anywhere.
    """

    def __init__(self, name: str, machine: Machine) -> None:
        super().__init__(name, machine)
        self.targets: dict[State, State] = {}

    @override
    def add_transition(self, transition: Transition) -> None:
        super().add_transition(transition)
        if transition.dest is not None:  # what is ignored never comes here
            self.targets[State[transition.source]] = State[transition.dest]

    @override
    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> bool:
        """Move the model.

        Raises:
            MachineError: there is no transition from its state.
        """
        target = self.targets.get(model.state)
        if target is None:
            raise MachineError(f"{self.name} cannot happen in state {model.state.name}")
        model.state = target
        return True


class _PlainMachine(Machine):
    event_cls: type[MachineEvent] = _PlainEvent


def build_machine() -> Machine:
    """Return the table as a machine without a model; any slotted object with a `state` is one."""
    machine = _PlainMachine(
        model=None, states=State, initial=State.RECEIVED, auto_transitions=False, send_event=False
    )
    for source, row in TABLE.items():
        for event, target in row.items():
            machine.add_transition(event.name, source, target)
    return machine


MACHINE: Final = build_machine()
"""The one machine of the process: a machine for each request would cost twenty times as much."""

EVENTS: Final = {event: cast("_PlainEvent", MACHINE.events[event.name]) for event in Event}
"""Its events, by ours."""

MOVES: Final = {event: plain.targets for event, plain in EVENTS.items()}
"""Where each of them leads: a move is one look."""
