"""`gateway.flag`: what it has of an `asyncio.Event`."""

from __future__ import annotations

import asyncio

import pytest

from gateway.flag import Flag
from tests.patience import PATIENCE


async def test_everybody_who_waits_goes_on_and_nobody_before() -> None:
    flag = Flag()
    waiters = [asyncio.create_task(flag.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(waiter.done() for waiter in waiters)
    flag.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*waiters)


async def test_what_has_happened_is_not_waited_for_until_it_is_cleared() -> None:
    flag = Flag()
    flag.set()
    assert flag.happened
    await flag.wait()
    flag.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await flag.wait()


async def test_who_is_cancelled_is_forgotten_and_keeps_nobody_from_going_on() -> None:
    flag = Flag()
    first, second = (asyncio.create_task(flag.wait()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    flag.set()  # in the same turn: the first still stands among those who wait
    async with asyncio.timeout(PATIENCE):
        await second
    assert first.cancelled() or first.cancelling()
    assert not flag._waiters


async def test_who_waits_for_so_long_at_most_is_told_whether_it_has_happened() -> None:
    flag = Flag()
    assert not await flag.within(0.01)
    waiter = asyncio.create_task(flag.within(60.0))
    await asyncio.sleep(0)
    flag.set()
    assert await waiter
