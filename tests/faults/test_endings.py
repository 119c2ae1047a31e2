"""Functions and clients that end, hang or do not listen: real processes, killed and cut."""

from __future__ import annotations

import signal
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from protocol.errors import CancelCode, ResetCode
from protocol.frames import Cancel, Reset
from tests.faults import wire
from tests.faults.behind import dialback_behind_proxy
from tests.faults.functions import digest_of
from tests.faults.kinds import PAUSE, UP, Point
from tests.faults.stage import TIMERS, Stage
from tests.system.running import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
CANCEL_GRACE = 2.0
"""Seconds that user code has to stop; then the library answers for it."""

AT_ONCE = 4.0
"""Seconds: less than any timer that could have ended it instead (the shortest are five)."""


HURRIED = "tests/faults/odd_functions.py:hurried"

# ---------------------------------------------------------------- the function dies


@pytest.mark.fault(38)
def test_a_function_killed_before_its_attach_is_a_502_at_once(stage: Stage) -> None:
    stage.proxy.plan(Point(UP, 0, PAUSE))
    browser = stage.browse("silent")
    stage.at("head", attached=False)
    stage.proxy.wait(lambda: stage.links and stage.links[0].up.received > 0)
    assert stage.exchange["state"] == "invoking"
    killed = monotonic()
    stage.function.kill()
    stage.assert_clean(browser)
    assert (browser.status, monotonic() - killed < AT_ONCE) == (502, True)
    assert stage.grown("dialback_attaches_total") == 0
    stage.assert_over()


@pytest.mark.fault(39)
def test_a_function_killed_in_mid_stream_is_a_visible_break_at_once(stage: Stage) -> None:
    browser = stage.browse("stream", total=MIB, gates=1000)
    browser.wait_bytes(1000)
    stage.at(1000)
    assert (stage.exchange["state"], stage.exchange["bytes"]) == ("streaming", 1000)
    killed = monotonic()
    stage.function.kill()
    assert browser.wait_end() == "broken"
    assert monotonic() - killed < AT_ONCE
    assert (len(browser.body), stage.wait_state("failed")["bytes"]) == (1000, 1000)
    stage.assert_over()


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Stage]:
    """A gateway whose functions have five seconds."""
    with (
        dialback_behind_proxy(HURRIED, "--timeout=5", env=TIMERS) as both,
        closing(Stage(*both, tmp_path)) as stage,
    ):
        yield stage


@pytest.mark.fault(40)
def test_a_function_near_its_deadline_resets_before_it_is_killed(hurried: Stage) -> None:
    stage = hurried
    browser = stage.browse("hurried", total=MIB, gates=1000)
    browser.wait_bytes(1000)
    assert stage.exchange["state"] == "streaming"
    process = stage.function
    assert browser.wait_end() == "broken"
    resets = [one.code for one in wire.frames(stage.link(0).up) if isinstance(one, Reset)]
    assert resets == [ResetCode.DEADLINE]
    stage.open(1000)
    stage.said("over")
    stage.assert_over()
    assert process.is_running()
    assert "Task timed out" not in stage.dialback.stderr


@pytest.mark.fault(43)
def test_a_function_that_returns_in_mid_stream_is_a_visible_break_at_once(stage: Stage) -> None:
    browser = stage.browse("early", total=MIB, gates=1000)
    browser.wait_bytes(1000)
    stage.at(1000)
    assert (stage.exchange["state"], stage.exchange["bytes"]) == ("streaming", 1000)
    returned = monotonic()
    stage.open("early")
    assert browser.wait_end() == "broken"
    assert monotonic() - returned < AT_ONCE
    assert stage.wait_state("failed")["bytes"] == len(browser.body) == 1000
    process = stage.function
    process.kill()  # its stream is still there, and would go on with the next invocation
    eventually(lambda: not process.is_running())  # else that one might still be given to it
    stage.assert_over()


# ---------------------------------------------------------------- the client


@pytest.mark.fault(26)
def test_a_client_that_reads_slowly_holds_the_function_up(stage: Stage) -> None:
    total = 32 * MIB
    browser = stage.browse("stream", buffer=16 * 1024, reading=False, total=total)
    link = stage.link(0)
    eventually(lambda: stage.exchange["bytes"] > 0)
    stage.stands(lambda: link.up.sent)
    exchange = stage.exchange
    assert exchange["state"] == "streaming"
    assert 0 < exchange["bytes"] < link.up.sent < 16 * MIB
    written = int(stage.said("written"))
    assert written < 16 * MIB
    browser.go_on_reading()
    stage.assert_clean(browser)
    assert browser.digest == digest_of(total)
    stage.assert_over()


@pytest.mark.fault(29)
@pytest.mark.parametrize("name", ["polite", "stream"])
def test_a_client_that_leaves_in_mid_stream_stops_the_function(stage: Stage, name: str) -> None:
    browser = stage.browse(name, total=64 * MIB, gates=5)
    browser.wait_bytes(5)
    assert stage.wait_state("streaming")["bytes"] == 5
    link = stage.links[-1]
    left = monotonic()
    browser.leave()
    stage.wait_state("cancelled")
    stage.proxy.wait(
        lambda: (
            [one.code for one in wire.frames(link.down) if isinstance(one, Cancel)]
            == [CancelCode.CLIENT_GONE]
        )
    )
    stage.open(5)
    stage.said("over")
    assert monotonic() - left < AT_ONCE
    assert (stage.room.said("cancelled") is not None) == (name == "polite")
    stage.assert_over()


@pytest.mark.fault(30)
def test_a_function_that_ignores_the_cancel_is_given_up(stage: Stage) -> None:
    browser = stage.browse("deaf")
    browser.wait_bytes(5)
    stage.at("first")
    assert stage.exchange["state"] == "streaming"
    browser.leave()
    stage.wait_state("cancelled")
    link = stage.links[-1]
    stage.proxy.wait(lambda: any(isinstance(one, Cancel) for one in wire.frames(link.down)))
    stage.open("first")
    stage.at("deaf", attached=False)  # it was given up already, if this took more than a moment
    assert stage.said("told") in ("ClientGone", "GeneratorExit")
    stage.proxy.wait(lambda: any(isinstance(one, Reset) for one in wire.frames(link.up)))
    assert stage.grown("dialback_invokes_total") == 0
    stage.open("deaf")
    stage.assert_over()
    assert stage.grown("dialback_cancel_ignored_seconds_total") > CANCEL_GRACE / 2


@pytest.mark.fault(60)
def test_events_leave_one_by_one_and_tell_proxies_to_keep_off(stage: Stage) -> None:
    browser = stage.browse("events", gates="a,b,c")
    for count, gate in enumerate("abc", 1):
        browser.wait_bytes(count * len("data: a\n\n"))
        stage.at(gate)  # it waits: nothing after this event made it leave
        assert bytes(browser.body).decode() == "".join(f"data: {one}\n\n" for one in "abc"[:count])
        assert stage.exchange["state"] == "streaming"
        stage.open(gate)
    stage.assert_clean(browser)
    assert browser.headers["x-accel-buffering"] == "no"
    assert "no-transform" in browser.headers["cache-control"]
    stage.assert_over()


# ---------------------------------------------------------------- stopped for a moment


def test_a_function_stopped_for_less_than_its_silence_only_pauses(stage: Stage) -> None:
    browser = stage.browse("stream", total=4 * MIB, gates=1000)
    browser.wait_bytes(1000)
    assert stage.exchange["state"] == "streaming"
    stage.function.send_signal(signal.SIGSTOP)
    stage.open(1000)
    eventually(lambda: stage.function.status() == "stopped")
    stage.function.send_signal(signal.SIGCONT)
    stage.assert_clean(browser)
    assert (browser.digest, stage.grown("dialback_attaches_total")) == (digest_of(4 * MIB), 1)
    stage.assert_over()
