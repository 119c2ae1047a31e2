"""Many threads at once: on the reactor, and of one handler."""

from __future__ import annotations

import random
import socket
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from lambda_client import reactor as reactor_module
from lambda_client import streamify_response
from lambda_client.loop import IoThread
from lambda_client.running import running_session
from lambda_client.waiting import Waiters
from tests.lambda_client.asgi_apps import delivered
from tests.lambda_client.gateway import eventually
from tests.lambda_client.handlers import call
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambda_client.reactor import Reactor
    from tests.lambda_client.gateway import Gateway

THREADS = 5
STEPS = 300


class Worker:
    """Uses one socket pair, and everything the reactor offers, in a random order."""

    def __init__(self, io: IoThread, seed: int) -> None:
        self.given = self.ran = self.set = self.rung = 0
        self.sent = self.read = 0
        self._io = io
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._waiters = Waiters(self._lock)
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        io.submit(lambda: io.loop.add_reader(self._near.fileno(), self._on_readable))

    def _on_readable(self) -> None:
        with self._lock:
            self.read += len(self._near.recv(1000))
            self._waiters.notify()

    def _job(self) -> None:
        self.ran += 1
        if self._chance.random() < 0.2:
            self._io.look_away()

    def _timer(self) -> None:
        self.rung += 1

    def run(self) -> None:
        io, chance = self._io, self._chance
        ways = (io.hurry, io.wake, io.linger, lambda: io.attend(object()), io.nudge)
        for _ in range(STEPS):
            self.given += 1
            io.give(self._job)
            chance.choice(ways[:3])()
            chance.choice(ways)()
            if chance.random() < 0.2:
                self.set += 1
                seconds = chance.random() * 0.01
                io.submit(partial(io.loop.call_later, seconds, self._timer))
            if chance.random() < 0.4:
                self.sent += 1
                self._far.send(b"x")
            if chance.random() < 0.3:
                self._waiters.wait(lambda: self.read >= self.sent, io)

    def over(self) -> bool:
        return (self.ran, self.rung, self.read) == (self.given, self.set, self.sent)

    def close(self) -> None:
        self._io.submit(lambda: self._io.loop.remove_reader(self._near.fileno()))
        self._io.submit(self._near.close)
        self._far.close()


def test_whatever_threads_do_every_job_is_done_once_and_every_byte_read() -> None:
    io = IoThread()
    workers = [Worker(io, seed) for seed in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        for running in [threads.submit(worker.run) for worker in workers]:
            running.result(PATIENCE)
    for worker in workers:
        eventually(worker.over)
        worker.close()


def test_threads_of_one_handler_share_an_upload(gateway: Gateway) -> None:
    """Each piece goes to one of them, and the end is told to all."""
    exchange = gateway.exchange(upload=bytes(400_000))
    read: list[int] = []

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        session = running_session()
        assert session is not None

        def take() -> None:
            while piece := session.upload.read():
                read.append(len(piece))
                stream.write(b"x")

        with ThreadPoolExecutor(3) as threads:
            for reading in [threads.submit(take) for _ in range(3)]:
                reading.result(PATIENCE)

    assert call(handler, exchange).status == "end"
    assert sum(read) == 400_000
    assert exchange.body == b"x" * len(read)


def test_two_threads_may_both_be_about_to_write_first(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        outlet = stream._outlet
        start = outlet.start

        def late(*head: Any) -> None:
            outlet.start = start
            with ThreadPoolExecutor(1) as other:
                other.submit(stream.write, b"first, ").result(PATIENCE)
            start(*head)

        outlet.start = late
        stream.write(b"second")

    assert delivered(call(handler, exchange), exchange) == b"first, second"


class Contested(deque[bytes]):
    """Pieces of an upload; when the one is taken whose turn it is, another thread was quicker by all there are."""

    def __init__(self, turn: int, take: Callable[[], object]) -> None:
        super().__init__()
        self._turn = turn
        self._take = take

    @override
    def popleft(self) -> bytes:
        self._turn -= 1
        if self._turn == 0:
            with ThreadPoolExecutor(1) as other:
                for _ in range(len(self)):
                    other.submit(self._take).result(PATIENCE)
        return super().popleft()


@pytest.mark.parametrize("turn", range(1, 8))
def test_a_thread_whose_piece_another_one_took_waits_for_the_next(
    gateway: Gateway, turn: int
) -> None:
    exchange = gateway.exchange(upload=bytes(400_000))
    read: list[int] = []

    @streamify_response
    def handler(event: Any, stream: Any, context: Any) -> None:
        session = running_session()
        assert session is not None
        upload = session.upload
        upload._pieces = Contested(turn, lambda: read.append(len(upload.read())))
        while piece := upload.read():
            read.append(len(piece))
        stream.write(b"over")

    assert call(handler, exchange).status == "end"
    assert sum(read) == 400_000


class Meddled:
    """A reactor's turn; when one thread gives it back for the nth time, another one has just found it taken."""

    def __init__(self, reactor: Reactor, thread: str, nth: int, job: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._reactor = reactor
        self._thread = thread
        self._left = nth
        self._job = job

    def locked(self) -> bool:
        return self._lock.locked()

    def _meddle(self) -> None:
        self._reactor.give(self._job)
        self._reactor.hurry()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        if threading.current_thread().name == self._thread:
            self._left -= 1
            if self._left == 0:
                other = threading.Thread(target=self._meddle)
                other.start()
                other.join(PATIENCE)
        self._lock.release()


@pytest.fixture
def asleep(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> Reactor:
    """Its thread sleeps, and nothing but somebody who wakes it will."""
    monkeypatch.setattr(reactor_module, "LEADER_SECONDS", 1000.0)
    eventually(lambda: reactor._sleeps_until > reactor.time() + 1000)
    return reactor


@pytest.mark.parametrize("moment", ["begins to lead", "leads", "leads no more"])
def test_whoever_leads_does_what_was_left_while_he_had_the_turn(
    asleep: Reactor, moment: str
) -> None:
    done, over = threading.Event(), [moment == "leads no more"]
    nth = 1 if moment == "begins to lead" else 2
    asleep._turn = Meddled(asleep, "leader", nth, done.set)  # type: ignore[assignment]
    leader = threading.Thread(target=asleep.lead, args=(lambda: over[0],), name="leader")
    leader.start()
    if moment == "leads":
        eventually(lambda: asleep._deaf)
        asleep.nudge()
    assert done.wait(PATIENCE)
    over[0] = True
    asleep.nudge()
    leader.join(PATIENCE)
    assert not leader.is_alive()


@pytest.mark.parametrize("nth", [1, 2])
def test_the_thread_does_what_was_left_while_it_had_the_turn(asleep: Reactor, nth: int) -> None:
    """The second time it is about to fall asleep."""
    done = threading.Event()
    (name,) = [one.name for one in threading.enumerate() if one.ident == asleep._thread]
    asleep._turn = Meddled(asleep, name, nth, done.set)  # type: ignore[assignment]
    asleep.call_soon_threadsafe(lambda: None)
    assert done.wait(PATIENCE)


def test_whoever_does_a_job_alone_sees_to_what_was_left_meanwhile(asleep: Reactor) -> None:
    done = threading.Event()
    asleep._turn = Meddled(asleep, "alone", 1, done.set)  # type: ignore[assignment]
    alone = threading.Thread(target=asleep.alone, args=(lambda: True,), name="alone")
    alone.start()
    assert done.wait(PATIENCE)
    alone.join(PATIENCE)
