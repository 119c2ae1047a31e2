"""Who waits for the I/O thread is woken for what he waits for, and for nothing else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lambda_client.waiting import Waiters
from tests.patience import PATIENCE


def test_a_blocked_thread_is_not_woken_in_vain() -> None:
    lock = threading.Lock()
    waiters, state, looked = Waiters(lock), [0], threading.Semaphore(0)
    looks: list[int] = []

    def ready() -> bool:
        looks.append(threading.get_ident())
        looked.release()
        return state[0] == 2

    def wait() -> int:
        waiters.wait(ready, None)
        return threading.get_ident()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait)
        assert looked.acquire(timeout=PATIENCE)
        for state[0] in (1, 2):
            with lock:
                waiters.notify()
        other = waiting.result(PATIENCE)
    here = threading.get_ident()
    assert looks == [other, here, here, other]


async def test_a_task_goes_on_once_it_is_ready() -> None:
    waiters, state = Waiters(threading.Lock()), [0]
    task = asyncio.create_task(waiters.suspend(lambda: state[0] == 2))
    await asyncio.sleep(0)
    for state[0] in (1, 2):
        assert not task.done()
        waiters.notify()
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        await task


async def test_a_task_that_is_cancelled_waits_for_nothing_any_more() -> None:
    asked: list[bool] = []
    waiters = Waiters(threading.Lock())

    def ready() -> bool:
        asked.append(True)
        return False

    task = asyncio.create_task(waiters.suspend(ready))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    waiters.notify()
    assert len(asked) == 1
