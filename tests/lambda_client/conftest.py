from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest

from lambda_client import loop, timing
from lambda_client import reactor as reactor_module
from lambda_client.reactor import Reactor
from protocol import function_stream
from protocol.limits import PARTING_MAX
from tests.lambda_client.gateway import Gateway
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


class Hurry(Protocol):
    def __call__(self, **changes: float) -> None: ...


class TimePasses(Protocol):
    def __call__(self, seconds: float) -> None: ...


@pytest.fixture(autouse=True)
def trusted_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest's own SIGALRM ends a test: the main thread may do I/O all the same."""
    monkeypatch.setattr(reactor_module, "INTERRUPTING", ())


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway that no earlier test left a parked connection to."""
    with Gateway() as running:
        yield running
    thread = loop.io_thread()
    parked, thread._parked = thread._parked, {}
    for one in parked.values():
        thread.submit(one.connection.abort)


@pytest.fixture(autouse=True)
def ends_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small responses wait for END_ACK as others do: most tests look at once at what the gateway holds."""
    monkeypatch.setattr(function_stream, "PARTING_MAX", -1)


@pytest.fixture(autouse=True)
def no_hedge(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is held up for 150 ms has another connection dialled: only tests of the hedge want that."""
    monkeypatch.setattr(timing, "TIMING", replace(timing.TIMING, hedge=PATIENCE))


@pytest.fixture
def parting(ends_wait: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a test is about those that do not wait."""
    monkeypatch.setattr(function_stream, "PARTING_MAX", PARTING_MAX)


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """One whose thread runs."""
    made = Reactor(lambda: None)

    def run() -> None:
        with suppress(SystemExit):
            made.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(sys.exit)
    thread.join(PATIENCE)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Hurry:
    """Makes durations of the sessions to come shorter, or longer: ``hurry(tail=0.1)``."""

    def shorten(**changes: float) -> None:
        monkeypatch.setattr(timing, "TIMING", replace(timing.TIMING, **changes))

    return shorten


@pytest.fixture
def time_passes(monkeypatch: pytest.MonkeyPatch) -> TimePasses:
    """Has the I/O find that so many seconds have passed, and waits until every alarm that is due then has rung.

    As in a process that was stopped for so long: but however long that is, a test takes no time for it, and what
    the machine is held up for does not count beside it.
    """
    io, passed = loop.io_thread(), [0.0]

    def now() -> float:
        return time.monotonic() + passed[0]

    monkeypatch.setattr(io.loop, "time", now)
    monkeypatch.setattr(io.ticker, "now", now)

    def let_pass(seconds: float) -> None:
        rung = threading.Event()

        def jump() -> None:
            passed[0] += seconds
            io.loop.call_later(0.0, rung.set)  # behind all that was due before

        io.submit(jump)
        assert rung.wait(PATIENCE)

    return let_pass
