"""A gate lets a bounded number in, in order, and never loses a place."""

import asyncio

import pytest

from gateway.errors import Overloaded
from gateway.exchange.admission import Gate


async def entered(gate: Gate) -> bool:
    task = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


async def test_places_are_given_until_there_are_none() -> None:
    gate = Gate(2, queue=1)
    assert [await entered(gate) for _ in range(3)] == [True, True, False]


async def test_a_place_that_is_given_back_goes_to_whoever_waits_longest() -> None:
    gate = Gate(1, queue=2)
    await gate.enter()
    order: list[str] = []

    async def wait(name: str) -> None:
        await gate.enter()
        order.append(name)

    tasks = [asyncio.create_task(wait("first")), asyncio.create_task(wait("second"))]
    await asyncio.sleep(0)
    assert gate.waiting == 2
    gate.leave()
    await tasks[0]
    assert order == ["first"]
    gate.leave()
    await tasks[1]
    assert order == ["first", "second"]


async def test_beyond_the_queue_it_is_overload_with_a_hint() -> None:
    gate = Gate(1, queue=0)
    await gate.enter()
    with pytest.raises(Overloaded) as caught:
        await gate.enter()
    assert caught.value.retry_after == 1


async def test_who_stops_waiting_takes_no_place_along() -> None:
    gate = Gate(1, queue=1)
    await gate.enter()
    assert not await entered(gate)
    gate.leave()
    assert await entered(gate)


async def test_a_place_handed_over_while_its_taker_leaves_is_given_on() -> None:
    gate = Gate(1, queue=1)
    await gate.enter()
    taker = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    gate.leave()
    taker.cancel()
    await asyncio.gather(taker, return_exceptions=True)
    assert await entered(gate)


async def test_a_wait_that_ends_as_a_place_comes_free_is_just_cancelled() -> None:
    gate = Gate(1, queue=1)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    waiting.cancel()
    gate.leave()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await entered(gate)


async def test_those_who_wait_can_be_turned_away_and_take_no_place_along() -> None:
    gate = Gate(1, queue=4)
    await gate.enter()
    turned_away, gone, late = (asyncio.create_task(gate.enter()) for _ in range(3))
    await asyncio.sleep(0)
    gone.cancel()
    gate.refuse_waiting()
    late.cancel()  # in the very moment that it is told
    results = await asyncio.gather(turned_away, gone, late, return_exceptions=True)
    assert isinstance(results[0], Overloaded)
    assert results[0].retry_after == 1
    assert [type(result) for result in results[1:]] == [asyncio.CancelledError] * 2
    assert not await entered(gate)
    gate.leave()
    assert await entered(gate)
    assert not await entered(gate)
