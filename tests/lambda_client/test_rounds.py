"""The thread of a reactor makes its rounds: nobody wakes it for what it then sees, and nobody waits for them."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lambda_client import reactor as reactor_module
from lambda_client.loop import IoThread
from lambda_client.waiting import Gate
from tests.lambda_client.gateway import eventually
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambda_client.reactor import Reactor

NEVER = 1000.0
"""Seconds until a round that no test waits for."""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield near, far


@pytest.fixture
def heard(reactor: Reactor, pair: tuple[socket.socket, socket.socket]) -> threading.Event:
    """Somebody sent something to the near socket, and it was read."""
    near, _ = pair
    heard = threading.Event()

    def read() -> None:
        near.recv(10)
        heard.set()

    reactor.call_soon_threadsafe(lambda: reactor.add_reader(near.fileno(), read))
    return heard


@pytest.fixture
def bells(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows whenever somebody wakes the thread."""
    rung: list[None] = []
    original = reactor.wake

    def wake() -> None:
        rung.append(None)
        original()

    monkeypatch.setattr(reactor, "wake", wake)
    return rung


def go_round(reactor: Reactor) -> None:
    """Have the thread make rounds from now on; it sleeps until the next."""

    def sleeps() -> bool:
        reactor.linger()  # each time: whoever is held up for long may find it idle again
        left = reactor._sleeps_until - reactor.time()
        soon = 0 < left <= reactor_module.ROUND_SECONDS
        return soon and not reactor._bell_rung and not reactor._turn.locked()

    eventually(sleeps)


@pytest.fixture
def rare(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread makes rounds, and the next is not in the time of a test."""
    monkeypatch.setattr(reactor_module, "ROUND_SECONDS", NEVER)
    go_round(reactor)


def look_away(reactor: Reactor) -> None:
    """On this thread, whoever has the turn just now."""
    with reactor._turn:
        reactor.look_away()


def test_nobody_rings_while_rounds_are_made(
    reactor: Reactor, bells: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactor_module, "ROUNDS", 1_000_000)
    go_round(reactor)
    rung = len(bells)
    assert rung
    for _ in range(3):
        ran = threading.Event()
        reactor.give(ran.set)
        reactor.linger()
        assert ran.wait(PATIENCE)
    assert len(bells) == rung


def test_an_idle_thread_makes_no_rounds(reactor: Reactor, bells: list[None]) -> None:
    go_round(reactor)
    eventually(lambda: reactor._sleeps_until > reactor.time() + NEVER)
    rung = len(bells)
    ran = threading.Event()
    reactor.give(ran.set)
    reactor.linger()
    assert ran.wait(PATIENCE)
    assert len(bells) == rung + 1


def test_what_comes_while_the_thread_looks_away_is_heard_with_a_round(
    reactor: Reactor,
    heard: threading.Event,
    pair: tuple[socket.socket, socket.socket],
    bells: list[None],
) -> None:
    go_round(reactor)
    for _ in range(5):
        heard.clear()
        reactor.linger()
        look_away(reactor)
        pair[1].send(b"!")
        assert heard.wait(PATIENCE)
    eventually(lambda: not reactor._deaf)


def test_rounds_are_made_although_more_and_more_lingers(
    reactor: Reactor, heard: threading.Event, pair: tuple[socket.socket, socket.socket]
) -> None:
    go_round(reactor)
    pair[1].send(b"!")

    def lingers_again() -> bool:
        reactor.linger()
        look_away(reactor)
        return heard.is_set()

    eventually(lingers_again)


@pytest.mark.usefixtures("rare")
def test_a_thread_that_looks_away_hears_whatever_attends(
    reactor: Reactor, heard: threading.Event, pair: tuple[socket.socket, socket.socket]
) -> None:
    deaf: list[bool] = []

    def note() -> None:
        look_away(reactor)
        deaf.append(reactor._deaf)

    note()
    reactor.attend("somebody")
    note()
    pair[1].send(b"!")
    assert heard.wait(PATIENCE)
    reactor.release("somebody")
    note()
    assert deaf == [True, False, True]


@pytest.mark.usefixtures("rare")
def test_whoever_suspends_has_the_thread_listen(
    reactor: Reactor, heard: threading.Event, pair: tuple[socket.socket, socket.socket]
) -> None:
    look_away(reactor)
    assert reactor._deaf
    reactor.attend("somebody")
    pair[1].send(b"!")
    assert heard.wait(PATIENCE)


@pytest.mark.usefixtures("rare")
def test_no_alarm_rings_before_what_has_come_was_heard(
    reactor: Reactor, heard: threading.Event, pair: tuple[socket.socket, socket.socket]
) -> None:
    look_away(reactor)
    known: list[bool] = []
    pair[1].send(b"!")
    assert reactor._deaf
    reactor.call_soon_threadsafe(
        lambda: reactor.call_later(0, lambda: known.append(heard.is_set()))
    )
    eventually(lambda: known)
    assert known == [True]


@pytest.mark.usefixtures("rare")
@pytest.mark.parametrize("before", [True, False])
def test_more_leaves_at_once_when_the_kernel_takes_it(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket], *, before: bool
) -> None:
    near, far = pair
    with pytest.raises(BlockingIOError):
        while True:
            near.send(bytes(1 << 16))
    written = threading.Event()

    def write() -> None:
        reactor.remove_writer(near.fileno())
        written.set()

    if before:
        look_away(reactor)
    reactor.give(lambda: reactor.add_writer(near.fileno(), write))
    reactor.hurry()
    if not before:
        look_away(reactor)
    far.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            far.recv(1 << 16)
    assert written.wait(PATIENCE)
    look_away(reactor)
    assert reactor._deaf


def test_whoever_may_not_lead_is_heard_when_the_leader_has_gone(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactor_module, "ROUND_SECONDS", NEVER)
    near, far = pair
    io = IoThread()
    reactor = io._reactor
    gates = {b"1": Gate(), b"2": Gate()}

    def read() -> None:
        gates[near.recv(1)].open()
        io.nudge()

    io.submit(lambda: reactor.add_reader(near.fileno(), read))
    go_round(reactor)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(io.block, gates[b"1"])
        eventually(lambda: reactor._deaf)
        second = threads.submit(io.block, gates[b"2"])
        eventually(lambda: reactor._attending)
        far.send(b"1")
        first.result(PATIENCE)
        far.send(b"2")
        second.result(PATIENCE)
    io.submit(lambda: reactor.remove_reader(near.fileno()))
    eventually(lambda: not reactor._watches.get(near.fileno()))


@pytest.mark.usefixtures("rare")
def test_what_is_held_goes_along_with_what_follows(reactor: Reactor) -> None:
    ran: list[str] = []
    reactor.give(lambda: ran.append("held"))
    reactor.hold()
    assert not ran
    reactor.give(lambda: ran.append("follows"))
    reactor.hurry()
    assert ran == ["held", "follows"]


def test_what_was_held_in_vain_is_done_at_once_for_a_while(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactor_module, "HASTY", 3)
    monkeypatch.setattr(reactor_module, "ROUNDS", 1_000_000)
    monkeypatch.setattr(reactor_module, "MOMENT", 0.0)
    go_round(reactor)
    late = threading.Event()
    with reactor._turn:  # no round comes between the two
        reactor.give(late.set)
        reactor.hold()
    assert late.wait(PATIENCE)
    monkeypatch.setattr(reactor_module, "ROUND_SECONDS", NEVER)
    eventually(lambda: reactor._sleeps_until > reactor.time() + NEVER / 2)
    go_round(reactor)
    ran: list[bool] = []
    counts = []
    for _ in range(4):
        reactor.give(lambda: ran.append(True))
        reactor.hold()
        counts.append(len(ran))
    assert counts == [1, 2, 3, 3]
