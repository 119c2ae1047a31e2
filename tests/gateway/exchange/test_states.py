"""The table is total, and the machine does what the table says."""

import itertools

import pytest
from transitions import MachineError

from gateway.errors import FunctionFailed
from gateway.exchange.exchange import Exchange
from gateway.exchange.states import TABLE, TERMINAL, Event, State

ONLY_BEFORE_ADMISSION = {Event.ADMITTED, Event.REFUSED}
NOT_WITHOUT_A_JOURNAL = (
    set(Event) - ONLY_BEFORE_ADMISSION - {Event.UPLOAD_FAILED, Event.CLIENT_GONE}
)
IMPOSSIBLE = {
    State.RECEIVED: NOT_WITHOUT_A_JOURNAL,
    State.INVOKING: ONLY_BEFORE_ADMISSION
    | {Event.DETACHED, Event.RESUME_EXPIRED, Event.HEAD_EXPIRED}  # nothing is attached
    | {Event.BODILESS, Event.FLUSHED, Event.WRITE_STALLED},  # nothing is being written
    State.STREAMING: ONLY_BEFORE_ADMISSION | {Event.FLUSHED},
    State.DETACHED: ONLY_BEFORE_ADMISSION | {Event.DETACHED, Event.FLUSHED},
    State.FLUSHING: ONLY_BEFORE_ADMISSION,
    State.COMPLETED: ONLY_BEFORE_ADMISSION,
    State.FAILED: ONLY_BEFORE_ADMISSION,
    State.CANCELLED: ONLY_BEFORE_ADMISSION,
}
"""Written out by hand: whatever the table leaves out must be left out on purpose."""


def exchange_in(state: State) -> Exchange:
    exchange = Exchange("ab" * 16, route="/", method="GET", now=0)
    exchange.state = state
    return exchange


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_state_knows_every_event(state: State, event: Event) -> None:
    exchange = exchange_in(state)
    if event in IMPOSSIBLE[state]:
        assert event not in TABLE[state]
        with pytest.raises(MachineError):
            exchange.on(event, 1)
        assert exchange.state is state
        return
    target = TABLE[state][event]
    exchange.on(event, 1)
    if target is None:
        assert (exchange.state, exchange.ignored) == (state, 1)
    else:
        assert (exchange.state, exchange.ignored) == (target, 0)


@pytest.mark.parametrize("state", sorted(TERMINAL, key=str))
def test_nothing_leaves_a_terminal_state(state: State) -> None:
    assert state.terminal
    assert set(TABLE[state].values()) == {None}


@pytest.mark.parametrize("state", sorted(set(State) - TERMINAL, key=str))
def test_every_other_state_can_still_fail_or_be_cancelled(state: State) -> None:
    assert {State.FAILED, State.CANCELLED} <= set(TABLE[state].values())


def test_only_a_response_that_is_all_there_completes() -> None:
    completing = {
        (state, event)
        for state, row in TABLE.items()
        for event, target in row.items()
        if target is State.COMPLETED
    }
    assert completing == {
        (State.FLUSHING, Event.FLUSHED),
        (State.FLUSHING, Event.BODILESS),
        (State.STREAMING, Event.BODILESS),
        (State.DETACHED, Event.BODILESS),
    }


def test_an_exchange_remembers_when_and_why_it_failed() -> None:
    exchange = exchange_in(State.INVOKING)
    reason = FunctionFailed("why")
    exchange.on(Event.INVOKE_FAILED, 7, reason)
    exchange.on(Event.INVOKE_FAILED, 8, FunctionFailed("late"))
    assert (exchange.ended, exchange.failure, exchange.ignored) == (7, reason, 1)
