"""What C library and collector are told; in a process of its own, since they are told for good."""

import asyncio
import gc
import platform
import subprocess
import sys

import pytest

from gateway import heap
from tests.patience import PATIENCE


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_glibc_keeps_freed_pages() -> None:
    code = "from gateway.heap import keep_freed_pages as k; raise SystemExit(0 if k() else 1)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_many_objects_that_stay_cause_no_full_collection() -> None:
    code = """
import gc
from gateway.heap import calm_collector
calm_collector()
assert gc.get_freeze_count() > 1000
before = gc.get_stats()[2]["collections"]
kept = [[] for _ in range(2_000_000)]
raise SystemExit(gc.get_stats()[2]["collections"] - before)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Sweeping:
    """A gateway whose every look is counted; each question how many are connected is one time to look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, connected: int, old: int = 1) -> None:
        self.looks: list[int] = []
        self.asked = 0
        self._connected = connected
        monkeypatch.setattr(heap, "SWEEP_SECONDS", 0.0)
        monkeypatch.setattr(gc, "get_count", self._count)
        monkeypatch.setattr(gc, "collect", lambda: self.looks.append(self.asked))
        self._old = old
        self.times = 0

    def _count(self) -> tuple[int, int, int]:
        self.times += 1
        return 0, 0, self._old

    def _connections(self) -> int:
        self.asked += 1
        return self._connected

    async def run(self, times: int) -> list[int]:
        """Return at which of so many times everything was looked at."""
        task = asyncio.create_task(heap.sweep(self._connections))
        async with asyncio.timeout(PATIENCE):
            while self.times < times:
                await asyncio.sleep(0)
        task.cancel()
        return self.looks


async def test_everything_is_looked_at_while_few_are_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await Sweeping(monkeypatch, heap.CALM).run(3) == [1, 2, 3]


async def test_a_crowd_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await Sweeping(monkeypatch, heap.CALM + 1).run(3) == []


async def test_nothing_is_looked_at_if_nothing_has_become_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await Sweeping(monkeypatch, 0, old=0).run(3) == []


CIRCLES = """
import asyncio, gc, resource, sys
from gateway import heap
heap.keep_freed_pages()
heap.calm_collector()
heap.GROWTH_SECONDS, heap.GROWTH_MAX = 0.0, 32 << 20

async def main():
    bound = asyncio.create_task(heap.bound_growth())
    begun = largest = heap.resident()
    for _ in range(400):
        circle = [b"x" * (1 << 20)]
        circle.append(circle)
        await asyncio.sleep(0)
        largest = max(largest, heap.resident())
    print((largest - begun) >> 20)

asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives freed pages back")
def test_what_few_objects_hold_in_circles_is_bounded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CIRCLES], check=True, capture_output=True, text=True
    )
    assert 32 <= int(done.stdout) < 64, "MiB, of 400 that lay in circles of two objects"


async def test_what_a_busy_minute_took_is_no_room_for_circles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes, looks = [500, 200, 290, 301, 301, 400], list[int]()

    def resident() -> int:
        if not sizes:
            raise asyncio.CancelledError
        return sizes.pop(0)

    monkeypatch.setattr(heap, "GROWTH_SECONDS", 0.0)
    monkeypatch.setattr(heap, "GROWTH_MAX", 100)
    monkeypatch.setattr(heap, "resident", resident)
    monkeypatch.setattr(gc, "collect", lambda: looks.append(len(sizes)))
    with pytest.raises(asyncio.CancelledError):
        await heap.bound_growth()
    assert looks == [2], "at 301, which is 101 more than the least"
