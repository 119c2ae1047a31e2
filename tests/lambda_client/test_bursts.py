"""Who sends what is written: whoever writes it, or in a flood the I/O thread."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from lambda_client import session, streamify_response
from lambda_client.loop import io_thread
from lambda_client.running import running_session
from lambda_client.shared import BURST
from tests.lambda_client.gateway import eventually
from tests.lambda_client.handlers import call

if TYPE_CHECKING:
    import pytest

    from lambda_client.response import ResponseStream
    from tests.lambda_client.gateway import Gateway


def test_only_a_flood_wakes_the_thread(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    thread, woken = io_thread(), 0
    wake = thread.wake

    def counted() -> None:
        nonlocal woken
        woken += 1
        wake()

    def write(response: ResponseStream, *, pause: bool) -> None:
        """Write once nothing waits any more; after a pause, or in a row with what left last."""
        monkeypatch.setattr(session, "PAUSE", -inf if pause else inf)
        response.write(b"x")
        running = running_session()
        assert running is not None
        eventually(lambda: running._pump_idle)

    @streamify_response
    def handler(event: Any, response: ResponseStream, context: Any) -> None:
        nonlocal woken
        write(response, pause=True)
        woken = 0
        for _ in range(3):
            write(response, pause=True)
            for _ in range(BURST):
                write(response, pause=False)
        assert woken == 0
        for number in range(1, 4):
            write(response, pause=False)
            assert woken == number

    monkeypatch.setattr(thread, "wake", counted)
    exchange = gateway.exchange()
    call(handler, exchange)
    assert exchange.body == b"x" * (1 + 3 * (1 + BURST) + 3)
