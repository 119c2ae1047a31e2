"""Many threads at once: on the reactor, and of one handler."""

from __future__ import annotations

import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from lambda_client import streamify_response
from lambda_client.loop import IoThread
from lambda_client.running import running_session
from lambda_client.waiting import Waiters
from tests.lambda_client.gateway import eventually
from tests.lambda_client.handlers import call
from tests.patience import PATIENCE

if TYPE_CHECKING:
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
        ways = (io.hurry, io.wake, io.linger, io.attend, io.nudge)
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
