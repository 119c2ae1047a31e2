"""Alarms that know a freeze when they see one."""

from __future__ import annotations

import asyncio
import selectors
from functools import partial, wraps
from math import inf
from typing import TYPE_CHECKING, cast

import pytest
from typing_extensions import override

from lambda_client.clock import Clock, Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

pytestmark = pytest.mark.fault(15)


class Timeless(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it sleeps, and at once: nothing that holds up the machine counts."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(Sleepless(self))

    @override
    def time(self) -> float:
        return self.now


class Sleepless(selectors.DefaultSelector):
    def __init__(self, loop: Timeless) -> None:
        super().__init__()
        self._loop = loop

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0.0
        return super().select(0)


def timeless(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Let a test run on such a loop."""

    @wraps(test)
    def run(**fixtures: object) -> None:
        with asyncio.Runner(loop_factory=Timeless) as runner:
            runner.run(test(**fixtures))

    return run


def freeze(seconds: float) -> None:
    """What a stopped process looks like from inside: the loop does not run."""
    cast("Timeless", asyncio.get_running_loop()).now += seconds


@timeless
async def test_alarms_ring_once_and_can_be_moved_and_cleared() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 2.0, lambda: rung.append("thaw"))
    first, second = (partial(rung.append, name) for name in "ab")
    clock.set(first, 0.01)
    clock.set(first, 0.03)
    clock.set_once(second, 0.02)
    clock.set_once(second, 60.0)
    await asyncio.sleep(0.06)
    assert rung == ["b", "a"]
    assert not clock.alarms
    clock.set(first, -5.0)
    clock.set(second, 0.0)
    clock.clear(second)
    await asyncio.sleep(0.01)
    assert rung == ["b", "a", "a"]
    clock.set(first, 0.01)
    clock.stop()
    await asyncio.sleep(0.03)
    assert rung == ["b", "a", "a"]


@timeless
async def test_after_a_freeze_every_alarm_has_its_full_length_again() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 0.1, lambda: rung.append("thaw"))
    short, long, unset = (partial(rung.append, name) for name in ("short", "long", "unset"))
    clock.set(short, 0.5)
    clock.set(long, 0.7)
    clock.set(unset, 0.5)
    clock.clear(unset)
    freeze(1.0)
    thawed = clock.now()
    await asyncio.sleep(0.01)
    assert rung == ["thaw"]
    assert clock.alarms[short][0] >= thawed + 0.5
    assert clock.alarms[long][0] >= thawed + 0.7
    assert unset not in clock.alarms
    while len(rung) < 3:
        await asyncio.sleep(0.01)
    assert rung == ["thaw", "short", "long"]


@timeless
async def test_the_time_of_others_is_not_given_back() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 0.1, lambda: rung.append("thaw"))
    clock.set(partial(rung.append, "deadline"), 0.15, awake=False)
    clock.set(partial(rung.append, "patient"), 0.05)
    freeze(0.4)
    await asyncio.sleep(0.01)
    assert sorted(rung) == ["deadline", "thaw"]
    clock.stop()


@timeless
async def test_a_little_late_is_no_freeze() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 5.0, lambda: rung.append("thaw"))
    clock.set(partial(rung.append, "late"), 0.01)
    freeze(0.1)
    await asyncio.sleep(0.01)
    assert rung == ["late"]


@timeless
async def test_a_freeze_is_seen_by_whoever_sets_an_alarm_first() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 0.1, lambda: rung.append("thaw"))
    moved, other = (partial(rung.append, name) for name in "ab")
    clock.set(moved, 0.05)
    clock.set(other, 0.2)
    freeze(0.4)
    clock.set(moved, 0.0)
    assert rung == ["thaw"]
    assert clock.alarms[other][0] > clock.now()
    await asyncio.sleep(0.01)
    assert rung == ["thaw", "a"]
    clock.stop()


@timeless
async def test_what_rings_may_move_and_clear_what_is_due_with_it() -> None:
    loop, rung = asyncio.get_running_loop(), list[str]()
    clock = Clock(Ticker(loop), 2.0, lambda: rung.append("thaw"))
    moved, cleared = (partial(rung.append, name) for name in ("moved", "cleared"))

    def first() -> None:
        rung.append("first")
        clock.set(moved, 0.02)
        clock.clear(cleared)
        loop.call_soon(rung.append, "the next turn")

    clock.set(moved, 0.011)
    clock.set(cleared, 0.011)
    clock.set(first, 0.01)
    freeze(0.02)
    while "moved" not in rung:
        await asyncio.sleep(0.01)
    assert rung == ["first", "the next turn", "moved"]


@timeless
async def test_one_timer_stands_for_all_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, rung = asyncio.get_running_loop(), list[str]()
    ticker = Ticker(loop)
    clocks = [Clock(ticker, 2.0, lambda: rung.append("thaw")) for _ in range(2)]
    timers: list[float] = []
    call_at = loop.call_at

    def counted(when: float, then: Callable[[], object]) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, then)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "call_at", counted)
        clocks[0].set(partial(rung.append, "a"), 0.01)
        for clock, name in zip(clocks * 2, "bcd", strict=False):
            other = partial(rung.append, name)
            clock.set(other, 5.0)
            clock.clear(other)
            clock.set(other, 0.03)
    assert len(timers) == 1
    while len(rung) < 4:
        await asyncio.sleep(0.01)
    assert sorted(rung) == ["a", "b", "c", "d"]
    assert rung[0] == "a"


@timeless
async def test_a_clock_of_which_nothing_is_set_is_let_go() -> None:
    rung: list[str] = []
    ticker = Ticker(asyncio.get_running_loop())
    rings, cleared, stopped = (Clock(ticker, 2.0, lambda: None) for _ in range(3))
    for clock, seconds in ((rings, 0.01), (cleared, 5.0), (stopped, 5.0)):
        clock.set(partial(rung.append, "rung"), seconds)
    also = partial(rung.append, "also")
    cleared.stop()
    cleared.set(also, 5.0)
    cleared.clear(also)
    stopped.stop()
    while not rung:
        await asyncio.sleep(0.01)
    assert not ticker.clocks
    assert ticker.due == inf


@timeless
async def test_an_alarm_that_raises_keeps_no_other_from_ringing() -> None:
    loop, rung, raised = asyncio.get_running_loop(), list[str](), list[object]()
    loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))

    def bug() -> None:
        raise KeyError

    clock = Clock(Ticker(loop), 2.0, lambda: rung.append("thaw"))
    clock.set(bug, 0.01)
    clock.set(partial(rung.append, "next"), 0.01)
    while not rung:
        await asyncio.sleep(0.01)
    assert rung == ["next"]
    assert [type(one) for one in raised] == [KeyError]


@timeless
async def test_a_timer_that_could_not_be_set_keeps_no_later_one_from_ringing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, rung = asyncio.get_running_loop(), list[str]()
    clock = Clock(Ticker(loop), 2.0, lambda: rung.append("thaw"))
    first, second = (partial(rung.append, name) for name in "ab")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(loop, "call_at", interrupted)
        clock.set(first, 0.01)
    clock.set(second, 0.02)
    while "b" not in rung:
        await asyncio.sleep(0.01)
    assert rung == ["a", "b"]


@timeless
async def test_a_clock_that_is_closed_takes_no_alarm_any_more() -> None:
    rung: list[str] = []
    ticker = Ticker(asyncio.get_running_loop())
    clock = Clock(ticker, 2.0, lambda: rung.append("thaw"))
    before, after = (partial(rung.append, name) for name in ("before", "after"))
    clock.set(before, 0.01)
    clock.close()
    clock.set(after, 0.01)
    clock.set_once(before, 0.01)
    freeze(5.0)
    await asyncio.sleep(0.02)
    assert rung == []
    assert not ticker.clocks
