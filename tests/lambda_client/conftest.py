from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest

from lambda_client import loop, reactor, timing
from tests.lambda_client.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Iterator


class Hurry(Protocol):
    def __call__(self, **changes: float) -> None: ...


@pytest.fixture(autouse=True)
def trusted_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest's own SIGALRM ends a test: the main thread may do I/O all the same."""
    monkeypatch.setattr(reactor, "INTERRUPTING", ())


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway that no earlier test left a parked connection to."""
    with Gateway() as running:
        yield running
    thread = loop.io_thread()
    parked, thread._parked = thread._parked, {}
    for one in parked.values():
        thread.submit(one.connection.abort)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Hurry:
    """Makes durations of the sessions to come shorter: ``hurry(tail=0.1)``."""

    def shorten(**changes: float) -> None:
        monkeypatch.setattr(timing, "TIMING", replace(timing.TIMING, **changes))

    return shorten
