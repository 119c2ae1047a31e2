"""The gateway itself is killed or told to stop, with streams on it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from protocol.errors import RejectCode
from protocol.frames import Attach, Goaway, Reject
from tests.faults import wire
from tests.faults.behind import dialback_behind_proxy
from tests.faults.functions import body_of, digest_of
from tests.faults.lent import LEND, answer_for, real_function
from tests.faults.stage import FUNCTIONS, TIMERS, Stage
from tests.patience import PATIENCE
from tests.system.running import running_dialback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gateway.invoke.local.function import LocalFunction

MIB = 1 << 20


@pytest.fixture
async def function() -> AsyncIterator[LocalFunction]:
    async with real_function() as function:
        yield function


@pytest.fixture
def keyed(tmp_path: Path) -> dict[str, str]:
    """The environment of gateways that know each other's tokens."""
    key = tmp_path / "key"
    key.write_text("k" * 32)
    return {**TIMERS, "DIALBACK_TOKEN_KEYS": str(key)}


@pytest.mark.fault(18)
async def test_a_killed_gateway_loses_its_streams_and_says_so(
    function: LocalFunction, keyed: dict[str, str], tmp_path: Path
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    with (
        dialback_behind_proxy(LEND, env=keyed) as (gateway, proxy),
        # It runs already: however long a start takes, the function looks for one for ten seconds only.
        running_dialback(LEND, env=keyed) as again,
    ):
        stage = Stage(gateway, proxy, room)
        browser = stage.browse("stream")
        answering = asyncio.create_task(answer_for(function, stage, total=MIB, gates=1000))
        await asyncio.to_thread(stage.at, 1000)
        await asyncio.to_thread(browser.wait_bytes, 1000)
        exchange = await asyncio.to_thread(lambda: stage.exchange)
        assert (exchange["state"], exchange["bytes"]) == ("streaming", 1000)
        gateway.process.popen.kill()
        proxy.target = ("127.0.0.1", again.callback_port)
        assert await asyncio.to_thread(browser.wait_end) == "broken"
        assert bytes(browser.body) == body_of(MIB)[:1000]
        stage.open(1000)
        receipt = await answering
        assert receipt["status"] == "lost"
        said = [one for link in stage.links for one in wire.frames(link.down)]
        rejects = [one.code for one in said if isinstance(one, Reject)]
        assert rejects == [RejectCode.UNKNOWN], said
        attaches = [
            one.epoch
            for link in stage.links
            for one in wire.frames(link.up)
            if isinstance(one, Attach)
        ]
        assert attaches == sorted(set(attaches))
        assert await asyncio.to_thread(again.metric, "dialback_callbacks") <= 1
        await asyncio.to_thread(browser.close)


@pytest.mark.fault(18)
async def test_a_killed_gateway_that_stays_away_is_given_up(
    function: LocalFunction, keyed: dict[str, str], tmp_path: Path
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    env = {**keyed, "DIALBACK_RESUME_GRACE": "5"}  # it is waited out
    with dialback_behind_proxy(LEND, env=env) as (gateway, proxy):
        stage = Stage(gateway, proxy, room)
        browser = stage.browse("stream")
        answering = asyncio.create_task(answer_for(function, stage, total=8 * MIB, gates=1000))
        await asyncio.to_thread(stage.at, 1000)
        await asyncio.to_thread(browser.wait_bytes, 1000)
        gateway.process.popen.kill()
        assert await asyncio.to_thread(browser.wait_end) == "broken"
        stage.open(1000)
        assert (await answering)["status"] == "lost"
        assert proxy.refused > 0
        await asyncio.to_thread(browser.close)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A gateway for one test."""
    with (
        dialback_behind_proxy(f"{FUNCTIONS}:handler", env=TIMERS) as both,
        closing(Stage(*both, tmp_path)) as stage,
    ):
        yield stage


@pytest.mark.fault(20)
def test_sigterm_in_mid_stream_lets_it_finish(stage: Stage) -> None:
    browser = stage.browse("stream", total=MIB, gates=1000)
    browser.wait_bytes(1000)
    stage.at(1000)
    assert (stage.exchange["state"], stage.exchange["bytes"]) == ("streaming", 1000)
    link = stage.link(0)
    stage.dialback.process.popen.send_signal(signal.SIGTERM)
    stage.proxy.wait(lambda: any(isinstance(one, Goaway) for one in wire.frames(link.down)))
    stage.open(1000)
    assert (browser.wait_end(), browser.digest) == ("clean", digest_of(MIB))
    assert stage.dialback.process.popen.wait(PATIENCE) == 0
