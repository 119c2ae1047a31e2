"""When calls stop, when one probes, and when they go on."""

from __future__ import annotations

import pytest

from gateway.exchange.breaker import (
    IN_VAIN_MAX,
    PROBE_PATIENCE,
    PROBE_SECONDS,
    Breaker,
    BreakerState,
    Trial,
)

PAUSE = 5.0


class Watched(Breaker):
    """A breaker without chance, which tells what it did.

    Attributes:
        changes: the states that it took, with the pause before a probe.
    """

    def __init__(self, chance: float = 0.5) -> None:
        self.changes: list[tuple[BreakerState, float]] = []
        super().__init__(PAUSE, lambda *change: self.changes.append(change), lambda: chance)

    def call(self, now: float = 0.0) -> Trial:
        trial = self.admit(now)
        assert trial is not None
        return trial

    def standing(self) -> str:
        return self.state.name

    def open(self, now: float = 0.0) -> None:
        for _ in range(IN_VAIN_MAX):
            self.call(now).in_vain(now)
        assert self.standing() == "OPEN"


def test_it_opens_after_so_many_calls_in_vain_in_a_row() -> None:
    breaker = Watched()
    for _ in range(IN_VAIN_MAX - 1):
        breaker.call().in_vain(0.0)
    assert breaker.admit(0.0) is not None
    breaker.call().in_vain(0.0)
    assert breaker.changes == [(BreakerState.OPEN, PAUSE)]
    assert breaker.admit(PAUSE - 0.1) is None
    assert breaker.wait(PAUSE - 2) == 2


@pytest.mark.parametrize("good", ["reached", "answered", "ran"])
def test_one_good_call_begins_the_row_anew(good: str) -> None:
    breaker = Watched()
    for _ in range(3):
        for _ in range(IN_VAIN_MAX - 1):
            breaker.call().in_vain(0.0)
        getattr(breaker.call(), good)()
    assert breaker.changes == []


def test_calls_that_teach_nothing_neither_count_nor_begin_anew() -> None:
    breaker = Watched()
    for _ in range(IN_VAIN_MAX):
        breaker.call().over()
        assert breaker.standing() == "CLOSED"
        breaker.call().in_vain(0.0)
    assert breaker.standing() == "OPEN"


def test_after_the_pause_one_probe_goes_out_and_no_more() -> None:
    breaker = Watched()
    breaker.open()
    assert breaker.wait(PAUSE) is None
    probe = breaker.call(PAUSE)
    assert breaker.standing() == "HALF_OPEN"
    assert breaker.wait(PAUSE) == PROBE_SECONDS
    assert breaker.admit(PAUSE) is None
    probe.reached()
    assert breaker.standing() == "CLOSED"
    assert breaker.admit(PAUSE) is not None


def test_a_probe_that_teaches_nothing_makes_room_for_the_next() -> None:
    breaker = Watched()
    breaker.open()
    breaker.call(PAUSE).over()
    assert breaker.standing() == "HALF_OPEN"
    breaker.call(PAUSE).reached()
    assert breaker.standing() == "CLOSED"


def test_a_probe_of_which_nothing_is_heard_does_not_hold_back_others_for_long() -> None:
    breaker = Watched()
    breaker.open()
    slow = breaker.call(PAUSE)  # a function that does not dial, and takes its time
    assert breaker.admit(PAUSE + PROBE_PATIENCE - 0.1) is None
    later = breaker.call(PAUSE + PROBE_PATIENCE)
    assert breaker.admit(PAUSE + PROBE_PATIENCE) is None
    slow.over()
    assert breaker.admit(PAUSE + PROBE_PATIENCE) is None
    slow, later = later, breaker.call(PAUSE + 2 * PROBE_PATIENCE)
    slow.in_vain(PAUSE + 2 * PROBE_PATIENCE)  # no probe any more: it does not open the pause anew
    assert breaker.standing() == "HALF_OPEN"
    later.answered()
    assert breaker.standing() == "CLOSED"


def test_pauses_double_up_to_a_minute_and_start_over_when_it_closed() -> None:
    breaker, now = Watched(), 0.0
    breaker.open()
    for _ in range(5):
        now = breaker._probe_at
        breaker.call(now).in_vain(now)
    pauses = [pause for state, pause in breaker.changes if state is BreakerState.OPEN]
    assert pauses == [5, 10, 20, 40, 60, 60]
    breaker.call(breaker._probe_at).ran()
    breaker.open(now)
    assert breaker.changes[-1] == (BreakerState.OPEN, PAUSE)


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 4.0), (0.5, 5.0), (1.0, 6.0)])
def test_pauses_vary_by_a_fifth(chance: float, pause: float) -> None:
    breaker = Watched(chance)
    breaker.open()
    (change,) = breaker.changes
    assert change[1] == pytest.approx(pause)


def test_calls_from_before_it_opened_do_not_prolong_it_but_may_close_it() -> None:
    breaker = Watched()
    before = [breaker.call() for _ in range(3)]
    breaker.open()
    before[0].in_vain(4.0)
    assert breaker.wait(4.0) == 1
    probe = breaker.call(PAUSE)
    before[1].in_vain(PAUSE)
    assert breaker.standing() == "HALF_OPEN"
    before[2].reached()
    assert breaker.standing() == "CLOSED"
    probe.in_vain(PAUSE)
    assert breaker.standing() == "CLOSED", "it is one call of many by now"
    assert breaker.wait(PAUSE) is None


def test_the_first_thing_learnt_from_a_call_counts() -> None:
    breaker = Watched()
    for _ in range(IN_VAIN_MAX):
        trial = breaker.call()
        trial.reached()
        trial.in_vain(0.0)
    assert breaker.standing() == "CLOSED"


@pytest.mark.parametrize(("aware", "state"), [(True, "OPEN"), (False, "CLOSED")])
def test_silence_counts_only_of_a_function_that_may_dial(aware: bool, state: str) -> None:
    breaker = Watched()
    breaker.call().reached() if aware else breaker.call().answered()
    for _ in range(IN_VAIN_MAX):
        breaker.call().silent(0.0)
    assert breaker.standing() == state
