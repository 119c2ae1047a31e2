"""One timer for deadlines of one length."""

from __future__ import annotations

import asyncio

from gateway.deadlines import Deadlines
from tests.gateway.steering import SteeredLoop
from tests.patience import PATIENCE


def run(*steps: float | str) -> list[tuple[str, float]]:
    """Begin whoever is named, end whoever has a minus before it, and let seconds pass; who was called, and when."""
    called: list[tuple[str, float]] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteeredLoop)
        start = loop.time()
        deadlines: Deadlines[str] = Deadlines(
            10.0, lambda one: called.append((one, round(loop.time() - start)))
        )
        for step in steps:
            if isinstance(step, str):
                (deadlines.end if step[0] == "-" else deadlines.begin)(step.lstrip("-"))
            else:
                loop.ahead += step
                for _ in range(5):  # each that is due has a turn of its own
                    await asyncio.sleep(0)
        assert len([one for one in loop._scheduled if not one.cancelled()]) <= 1  # type: ignore[attr-defined]
        deadlines.close()

    with asyncio.Runner(loop_factory=SteeredLoop) as runner:
        runner.run(play())
    return called


def test_each_is_called_when_it_is_due() -> None:
    assert run("a", 4.0, "b", 6.2, 3.0, 1.2) == [("a", 10), ("b", 14)]


def test_who_ended_is_not_called() -> None:
    assert run("a", 4.0, "b", 5.0, "-a", 30.0) == [("b", 39)]


def test_who_begins_again_is_due_from_then_on() -> None:
    assert run("a", 4.0, "b", 1.0, "-a", "a", 9.2, 1.0) == [("b", 14), ("a", 15)]


def test_those_that_are_due_together_are_called_in_order() -> None:
    assert run("a", "b", 1.0, "c", 20.0) == [("a", 21), ("b", 21), ("c", 21)]


def test_nobody_is_called_after_the_close() -> None:
    called: list[str] = []

    async def play() -> None:
        deadlines: Deadlines[str] = Deadlines(0.0, called.append)
        deadlines.begin("a")
        deadlines.close()
        await asyncio.sleep(0.01)

    asyncio.run(play())
    assert called == []


async def test_one_that_fails_does_not_cost_those_behind_it_their_deadline() -> None:
    called: list[str] = []
    behind = asyncio.Event()

    def expired(one: str) -> None:
        called.append(one)
        if one == "b":
            behind.set()
            return
        raise RuntimeError(one)

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    deadlines: Deadlines[str] = Deadlines(0.01, expired)
    for one in "ab":
        deadlines.begin(one)
    async with asyncio.timeout(PATIENCE):
        await behind.wait()
    assert called == ["a", "b"]
    deadlines.close()
