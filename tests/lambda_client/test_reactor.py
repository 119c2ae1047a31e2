"""Turns: any thread may take one, never two at once, and nothing that was left is forgotten."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from lambda_client.reactor import Reactor
from tests.lambda_client.gateway import eventually
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Heard:
    """What a reactor reads.

    Attributes:
        far: what is sent here it hears.
        read: the bytes of each read, and the thread that read them.
    """

    far: socket.socket
    read: list[tuple[bytes, int]] = field(default_factory=list)

    def has(self, number: int) -> bool:
        return len(self.read) >= number


@pytest.fixture
def heard(reactor: Reactor) -> Iterator[Heard]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        made = Heard(far)

        def read() -> None:
            made.read.append((near.recv(10), threading.get_ident()))

        reactor.call_soon_threadsafe(lambda: reactor.add_reader(near.fileno(), read))
        yield made


def test_jobs_of_many_threads_run_once_in_order_and_one_at_a_time(reactor: Reactor) -> None:
    ran: dict[int, list[int]] = {number: [] for number in range(6)}
    inside, together = [0], list[int]()
    ways: list[Callable[[], None]] = [reactor.hurry, reactor.wake, reactor.linger]

    def job(thread: int, number: int) -> None:
        inside[0] += 1
        together.append(inside[0])
        ran[thread].append(number)
        inside[0] -= 1

    def leave(thread: int) -> None:
        for number in range(2000):
            reactor.give(lambda number=number: job(thread, number))  # type: ignore[misc]
            ways[(number + thread) % 3]()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(leave, ran))
    eventually(lambda: len(together) == 6 * 2000)
    assert all(numbers == list(range(2000)) for numbers in ran.values())
    assert set(together) == {1}


@pytest.mark.parametrize("asleep", [True, False])
def test_what_lingers_is_done_although_nothing_else_is(reactor: Reactor, *, asleep: bool) -> None:
    ran = threading.Event()
    if not asleep:
        reactor.give(lambda: None)
        reactor.linger()
    reactor.give(ran.set)
    reactor.linger()
    assert ran.wait(PATIENCE)


def test_what_lingers_goes_along_with_what_is_in_a_hurry(reactor: Reactor) -> None:
    ran: list[tuple[str, int]] = []
    held = threading.Event()
    reactor.call_soon_threadsafe(
        lambda: held.wait(PATIENCE)
    )  # the thread is busy, so nobody else looks
    reactor.give(lambda: ran.append(("lingers", threading.get_ident())))
    reactor.linger()
    reactor.give(lambda: ran.append(("hurries", threading.get_ident())))
    held.set()
    while len(ran) < 2:
        reactor.hurry()
    assert [what for what, _ in ran] == ["lingers", "hurries"]


def test_whoever_leads_does_the_io(reactor: Reactor, heard: Heard) -> None:
    with ThreadPoolExecutor(1) as threads:
        leading = threads.submit(
            lambda: (reactor.lead(lambda: heard.has(50)), threading.get_ident())
        )
        eventually(lambda: reactor._deaf)
        assert not reactor.lead(lambda: False)
        for number in range(50):
            heard.far.send(b"%d" % number)
            eventually(partial(heard.has, number + 1))
        led, leader = leading.result(PATIENCE)
    assert led
    assert {who for _, who in heard.read} == {leader}
    heard.far.send(b"more")
    eventually(lambda: heard.read[-1][0] == b"more")
    assert heard.read[-1][1] != leader


def test_whoever_leads_is_told_that_it_is_over(reactor: Reactor) -> None:
    over = [False]
    with ThreadPoolExecutor(1) as threads:
        leading = threads.submit(reactor.lead, lambda: over[0])
        eventually(lambda: reactor._leader is not None)
        over[0] = True
        reactor.nudge()
        assert leading.result(PATIENCE)


def test_timers_ring_in_order_however_long_the_thread_meant_to_sleep(reactor: Reactor) -> None:
    rung: list[str] = []
    done = threading.Event()

    def start() -> None:
        now = reactor.time()
        reactor.call_at(now + 0.06, done.set)
        reactor.call_at(now + 0.04, lambda: rung.append("b"))
        reactor.call_at(now + 0.02, lambda: rung.append("a"))
        reactor.call_later(0.03, lambda: rung.append("never")).cancel()

    reactor.give(start)
    reactor.hurry()
    assert done.wait(PATIENCE)
    assert rung == ["a", "b"]


def test_whoever_leaves_jobs_without_end_keeps_nothing_else_from_being_done(
    reactor: Reactor, heard: Heard
) -> None:
    rung = threading.Event()

    def again() -> None:
        if not (rung.is_set() and heard.read):
            reactor.give(again)

    def start() -> None:
        reactor.call_later(0.01, rung.set)
        again()

    reactor.give(start)
    reactor.hurry()  # which comes back although there is more
    heard.far.send(b"!")
    assert rung.wait(PATIENCE)
    eventually(lambda: heard.read)


def test_a_job_that_raises_is_reported_and_keeps_no_other_from_running(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    ran = threading.Event()

    def bug() -> None:
        raise KeyError("a bug")

    reactor.give(bug)
    reactor.give(ran.set)
    reactor.hurry()
    assert ran.is_set()
    assert "a bug of dialback's" in caplog.text


class InterruptionError(BaseException):
    """What a signal's handler raises."""


def test_after_a_job_that_is_broken_off_the_thread_is_told_and_goes_on() -> None:
    done = threading.Event()
    order: list[str] = []
    reactor = Reactor(lambda: order.append("interrupted"))
    threading.Thread(target=reactor.run, daemon=True).start()

    def job() -> None:
        order.append("job")
        raise InterruptionError

    reactor.give(job)
    reactor.give(done.set)
    with pytest.raises(InterruptionError):
        reactor.hurry()
    assert done.wait(PATIENCE)
    assert order == ["job", "interrupted"]


def test_the_thread_sleeps_while_somebody_leads(reactor: Reactor, heard: Heard) -> None:
    reactor.hurry()
    served: list[int] = []
    original = reactor._serve_sockets

    def serve(ready: list[tuple[int, int]] | None) -> None:
        served.append(threading.get_ident())
        original(ready)

    reactor._serve_sockets = serve  # type: ignore[method-assign]

    def feed() -> None:
        eventually(lambda: reactor._deaf)
        for number in range(20):
            heard.far.send(b"%d" % number)
            eventually(partial(heard.has, number + 1))

    feeding = threading.Thread(target=feed)
    feeding.start()
    assert reactor.lead(lambda: heard.has(20))
    feeding.join()
    assert len([who for who in served if who != threading.get_ident()]) <= 1


class Late:
    """A reactor's descriptors, of which whoever leads is told late: somebody else has had a turn meanwhile."""

    def __init__(self, reactor: Reactor, meanwhile: Callable[[], object]) -> None:
        self._reactor = reactor
        self._sockets = reactor._sockets
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> object:
        return getattr(self._sockets, name)

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        ready = self._sockets.poll(timeout, most)
        if ready and timeout < 0:
            self._reactor.give(self._meanwhile)
            with ThreadPoolExecutor(1) as threads:
                threads.submit(self._reactor.hurry).result(PATIENCE)
        return ready


def test_a_descriptor_that_became_another_sockets_is_not_taken_for_ready(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = socket.socketpair()
    silent, other = socket.socketpair()
    told: list[str] = []

    def become_another() -> None:
        reactor.remove_reader(near.fileno())
        os.dup2(silent.fileno(), near.fileno())
        reactor.add_reader(near.fileno(), lambda: told.append("ready"))
        told.append("another")

    def feed() -> None:
        eventually(lambda: reactor._deaf)
        far.send(b"x")

    with near, far, silent, other:
        reactor.give(lambda: reactor.add_reader(near.fileno(), lambda: told.append("read")))
        reactor.hurry()
        monkeypatch.setattr(reactor, "_sockets", Late(reactor, become_another))
        feeding = threading.Thread(target=feed)
        feeding.start()
        assert reactor.lead(lambda: bool(told))
        feeding.join()
        reactor.give(lambda: reactor.remove_reader(near.fileno()))
        reactor.hurry()
    assert told == ["another"]


def test_a_timer_may_be_farther_away_than_the_kernel_can_count(reactor: Reactor) -> None:
    ran = threading.Event()
    reactor.give(lambda: reactor.call_later(2**53, ran.set))
    reactor.wake()
    eventually(lambda: reactor._sleeps_until > reactor.time() + 1)  # it sleeps, or is about to
    reactor.call_soon_threadsafe(ran.set)
    assert ran.wait(PATIENCE)


def test_what_a_first_dial_needs_has_no_asyncio() -> None:
    """Nothing of it runs in a sync handler, so nobody waits for its import."""
    code = (
        "import lambda_client, lambda_client.pump, lambda_client.address, lambda_client.probe, sys\n"
        "raise SystemExit('asyncio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
