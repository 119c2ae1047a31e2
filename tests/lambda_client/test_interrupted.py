"""Exceptions at any moment: a timeout's signal in the main thread, Ctrl-C, no stack left."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from lambda_client import loop
from lambda_client.reactor import Reactor
from tests.lambda_client.handlers import warm
from tests.lambda_client.interrupting import InterruptionError, respond

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lambda_client.gateway import Gateway

STRIDE = 7
"""Every so many points in one test, from an offset that is the test's own: all of them are tried by all tests."""

LONGEST = 4.0
"""Seconds: a response that is left to its deadline (8 s) takes longer, any other one some milliseconds."""


@dataclass(frozen=True)
class Play:
    """A response: the size of its chunks, what the gateway takes at a time, and whether a connection is parked."""

    size: int
    window: int
    warm: bool


PLAYS = [
    pytest.param(Play(100, 262_144, warm=False), id="small-cold"),
    pytest.param(Play(100, 262_144, warm=True), id="small-warm"),
    pytest.param(Play(3000, 4096, warm=False), id="waits-for-credit-cold"),
    pytest.param(Play(3000, 4096, warm=True), id="waits-for-credit-warm"),
]


def cool() -> None:
    """Forget the parked connections."""
    thread = loop.io_thread()
    parked, thread._parked = thread._parked, {}
    for one in parked.values():
        thread.submit(one.connection.abort)


def interrupt_everywhere(
    gateway: Gateway, play: Play, error: type[BaseException], first: int, *, goes_on: bool
) -> Iterator[str]:
    """Yield what went wrong, and where."""
    point, tried = first, 0
    while True:
        cool()
        if play.warm:
            warm(gateway)
        exchange = gateway.exchange(window=play.window)
        told = respond(exchange, point, error, size=play.size)
        if not told.where:
            break  # there are no more
        wrong = told.problem(exchange, goes_on=goes_on)
        if wrong or told.seconds > LONGEST:
            yield f"{point}, {told.where}: {wrong}, after {told.seconds:.1f} s ({told.raised!r:.80})"
        point, tried = point + STRIDE, tried + 1
    assert tried > 20


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("first", range(1, STRIDE + 1))
@pytest.mark.parametrize("play", PLAYS)
def test_a_timeout_that_user_code_takes_breaks_no_response(
    gateway: Gateway, play: Play, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = threading.get_ident()
    monkeypatch.setattr(Reactor, "_may_be_interrupted", lambda _: threading.get_ident() == main)
    assert not list(interrupt_everywhere(gateway, play, InterruptionError, first, goes_on=True))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("first", [1, 4])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RecursionError])
@pytest.mark.parametrize("play", PLAYS)
def test_what_is_broken_off_within_a_turn_ends_soon_and_is_never_taken_for_whole(
    gateway: Gateway, play: Play, error: type[BaseException], first: int
) -> None:
    assert not list(interrupt_everywhere(gateway, play, error, first, goes_on=False))
