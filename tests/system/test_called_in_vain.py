"""A function that never dials back, called through a real gateway and the emulated Lambda."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from gateway.exchange.breaker import IN_VAIN_MAX
from tests.system.running import running_dialback
from tests.system.test_pipe import fetch

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = 400
CLIENTS = 8


def test_calls_in_vain_stop_and_no_request_calls_twice(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    function = "tests/system/functions/in_vain.py:handler"
    with (
        running_dialback(function, "--env", f"CALLS={calls}") as dialback,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        answers = list(clients.map(lambda _: fetch(dialback, "/")[0], range(REQUESTS)))
        assert dialback.metric("dialback_breaker_openings_total", route="/") >= 1
        assert dialback.stderr.count("the function is called in vain") >= 1
    called = calls.read_text().split()
    assert len(called) == len(set(called)), "once for a request at most"
    assert IN_VAIN_MAX <= len(called) < REQUESTS / 2
    statuses = Counter(answer.status for answer in answers)
    assert statuses == {502: len(called), 503: REQUESTS - len(called)}
    waits = {answer.getheader("retry-after") for answer in answers if answer.status == 503}
    assert waits <= {str(seconds) for seconds in range(1, 14)}
