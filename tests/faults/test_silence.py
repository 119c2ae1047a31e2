"""Who says nothing for too long is taken for dead; who only has nothing to say is not."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from protocol.errors import CloseCode
from protocol.frames import Ping, Pong
from tests.faults import wire
from tests.faults.behind import dialback_behind_proxy
from tests.faults.functions import digest_of
from tests.faults.kinds import DOWN, HALF_OPEN, SWALLOW, UP
from tests.faults.stage import ALERT, FUNCTIONS, SILENCE, Stage
from tests.faults.test_cuts import SOON, assert_whole, kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.kinds import Direction
    from tests.faults.proxy import Proxy
    from tests.system.running import Dialback

MIB = 1 << 20
PINGS = 6
"""So many, each after half a second without a word from the other side, take longer than `SILENCE`."""


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Dialback, Proxy]]:
    with dialback_behind_proxy(f"{FUNCTIONS}:handler", "--timeout=40", env=ALERT) as both:
        yield both


# ---------------------------------------------------------------- taken for dead


@pytest.mark.fault(10)
def test_a_half_open_callback_is_found_out_and_replaced(stage: Stage) -> None:
    browser = stage.browse("stream", total=MIB, gates=1000)
    browser.wait_bytes(1000)
    stage.at(1000)
    assert stage.exchange["state"] == "streaming"
    stage.proxy.strike(HALF_OPEN)
    stage.open(1000)
    assert_whole(stage, browser, MIB, attaches=2, or_more=True)
    assert browser.ended - stage.proxy.faults[-1].at < SILENCE + SOON
    assert stage.link(0).up.swallowed > 0


@pytest.mark.fault(11)
@pytest.mark.parametrize("direction", [UP, DOWN], ids=lambda direction: direction.value)
def test_one_way_loss_is_found_out_and_fenced(stage: Stage, direction: Direction) -> None:
    browser = stage.browse("stream", total=MIB, gates=1000)
    browser.wait_bytes(1000)
    stage.at(1000)
    assert stage.exchange["state"] == "streaming"
    stage.proxy.strike(SWALLOW, direction)
    stage.open(1000)
    assert_whole(stage, browser, MIB, attaches=2, or_more=True)
    assert stage.link(0).pipe(direction).swallowed > 0


@pytest.mark.fault(10)
def test_a_function_stopped_for_longer_than_its_silence_comes_back(stage: Stage) -> None:
    browser = stage.browse("stream", total=MIB, gates=1000)
    browser.wait_bytes(1000)
    stage.at(1000)
    assert stage.exchange["state"] == "streaming"
    stage.function.send_signal(signal.SIGSTOP)
    stage.open(1000)
    exchange = stage.wait_state("detached")
    assert exchange["bytes"] == 1000
    down = stage.link(0).down
    stage.proxy.wait(lambda: wire.close_code(down) == CloseCode.DEAD_PEER)
    assert Ping in kinds(stage.link(0), DOWN)
    stage.function.send_signal(signal.SIGCONT)
    assert_whole(stage, browser, MIB, attaches=2, or_more=True)


@pytest.mark.fault(10)
def test_a_gateway_stopped_for_longer_than_its_silence_goes_on(stage: Stage) -> None:
    browser = stage.browse("stream", total=MIB, gates=1000)
    browser.wait_bytes(1000)
    stage.at(1000)
    stage.dialback.process.popen.send_signal(signal.SIGSTOP)
    try:
        stage.open(1000)
        stage.proxy.wait(lambda: len(stage.links) >= 2, seconds=SILENCE + SOON)
    finally:
        stage.dialback.process.popen.send_signal(signal.SIGCONT)
    assert_whole(stage, browser, MIB, attaches=2, or_more=True)


# ---------------------------------------------------------------- only quiet


@pytest.mark.fault(59)
def test_a_quiet_stream_is_kept_alive_by_pings(stage: Stage) -> None:
    browser = stage.browse("stream", total=2000, gates=1000)
    browser.wait_bytes(1000)
    assert stage.exchange["state"] == "streaming"
    link = stage.links[-1]
    stage.proxy.wait(
        lambda: kinds(link, DOWN).count(Ping) >= PINGS and kinds(link, UP).count(Pong) >= PINGS
    )
    stage.open(1000)
    stage.assert_clean(browser)
    assert browser.seconds > SILENCE
    assert (browser.digest, stage.grown("dialback_attaches_total")) == (digest_of(2000), 1)
    stage.assert_over()


@pytest.mark.fault(17)
def test_user_code_that_holds_its_event_loop_is_not_taken_for_dead(stage: Stage) -> None:
    browser = stage.browse("busy", total=2000, seconds=1.3 * SILENCE)
    browser.wait_bytes(1000)
    assert stage.exchange["state"] == "streaming"
    stage.assert_clean(browser)
    assert browser.seconds > SILENCE
    assert (browser.digest, stage.grown("dialback_attaches_total")) == (digest_of(2000), 1)
    assert any(isinstance(one, Pong) for one in wire.frames(stage.links[-1].up))
    stage.assert_over()
