"""Alarms that know a freeze when they see one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from lambda_client.clock import Alarm, Clock, Ticker

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.fault(15)


def freeze(seconds: float) -> None:
    """What a stopped process looks like from inside: the loop does not run."""
    time.sleep(seconds)


async def test_alarms_ring_once_and_can_be_moved_and_cleared() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 2.0, lambda: rung.append("thaw"))
    first, second = (Alarm(clock, lambda name=name: rung.append(name)) for name in "ab")  # type: ignore[misc]
    first.set(0.01)
    first.set(0.03)
    second.set_once(0.02)
    second.set_once(60.0)
    await asyncio.sleep(0.06)
    assert rung == ["b", "a"]
    assert first.when is second.when is None
    first.set(-5.0)
    second.set(0.0)
    second.clear()
    await asyncio.sleep(0.01)
    assert rung == ["b", "a", "a"]
    first.set(0.01)
    clock.stop()
    await asyncio.sleep(0.03)
    assert rung == ["b", "a", "a"]


async def test_after_a_freeze_every_alarm_has_its_full_length_again() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 0.1, lambda: rung.append("thaw"))
    short, long, unset = (
        Alarm(clock, lambda name=name: rung.append(name))  # type: ignore[misc]
        for name in ("short", "long", "unset")
    )
    short.set(0.5)
    long.set(0.7)
    freeze(1.0)
    thawed = clock.now()
    await asyncio.sleep(0.01)
    assert rung == ["thaw"]
    assert short.when is not None
    assert short.when >= thawed + 0.5
    assert long.when is not None
    assert long.when >= thawed + 0.7
    assert unset.when is None
    while len(rung) < 3:
        await asyncio.sleep(0.01)
    assert rung == ["thaw", "short", "long"]


async def test_the_time_of_others_is_not_given_back() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 0.1, lambda: rung.append("thaw"))
    Alarm(clock, lambda: rung.append("deadline"), awake=False).set(0.15)
    patient = Alarm(clock, lambda: rung.append("patient"))
    patient.set(0.05)
    freeze(0.4)
    await asyncio.sleep(0.01)
    assert sorted(rung) == ["deadline", "thaw"]
    patient.clear()


async def test_a_little_late_is_no_freeze() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 5.0, lambda: rung.append("thaw"))
    Alarm(clock, lambda: rung.append("late")).set(0.01)
    freeze(0.1)
    await asyncio.sleep(0.01)
    assert rung == ["late"]


async def test_a_freeze_is_seen_by_whoever_sets_an_alarm_first() -> None:
    rung: list[str] = []
    clock = Clock(Ticker(asyncio.get_running_loop()), 0.1, lambda: rung.append("thaw"))
    moved, other = (Alarm(clock, lambda name=name: rung.append(name)) for name in "ab")  # type: ignore[misc]
    moved.set(0.05)
    other.set(0.2)
    freeze(0.4)
    moved.set(0.0)
    assert rung == ["thaw"]
    assert other.when is not None
    assert other.when > clock.now()
    await asyncio.sleep(0.01)
    assert rung == ["thaw", "a"]
    other.clear()


async def test_one_timer_stands_for_all_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, rung = asyncio.get_running_loop(), list[str]()
    ticker = Ticker(loop)
    clocks = [Clock(ticker, 2.0, lambda: rung.append("thaw")) for _ in range(2)]
    first, *others = (
        Alarm(clock, lambda name=name: rung.append(name))  # type: ignore[misc]
        for name, clock in zip("abcd", clocks * 2, strict=True)
    )
    timers: list[float] = []
    call_at = loop.call_at

    def counted(when: float, then: Callable[[], object]) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, then)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "call_at", counted)
        first.set(0.01)
        for alarm in others:
            alarm.set(5.0)
            alarm.clear()
            alarm.set(0.03)
    assert len(timers) == 1
    while len(rung) < 4:
        await asyncio.sleep(0.01)
    assert sorted(rung) == ["a", "b", "c", "d"]
    assert rung[0] == "a"


async def test_an_alarm_that_raises_keeps_no_other_from_ringing() -> None:
    loop, rung, raised = asyncio.get_running_loop(), list[str](), list[object]()
    loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))

    def bug() -> None:
        raise KeyError

    clock = Clock(Ticker(loop), 2.0, lambda: rung.append("thaw"))
    Alarm(clock, bug).set(0.01)
    Alarm(clock, lambda: rung.append("next")).set(0.01)
    while not rung:
        await asyncio.sleep(0.01)
    assert rung == ["next"]
    assert [type(one) for one in raised] == [KeyError]


async def test_a_timer_that_could_not_be_set_keeps_no_later_one_from_ringing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, rung = asyncio.get_running_loop(), list[str]()
    clock = Clock(Ticker(loop), 2.0, lambda: rung.append("thaw"))
    first, second = (Alarm(clock, lambda name=name: rung.append(name)) for name in "ab")  # type: ignore[misc]

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(loop, "call_at", interrupted)
        first.set(0.01)
    second.set(0.02)
    while "b" not in rung:
        await asyncio.sleep(0.01)
    assert rung == ["a", "b"]
