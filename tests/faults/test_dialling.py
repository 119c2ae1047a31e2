"""Whether and how a function reaches the gateway: refused, silent, frozen, gone, or of another version."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import aiohttp
import pytest

from protocol.errors import CloseCode
from protocol.frames import Attach
from protocol.limits import ATTACH_DEADLINE, ATTACH_PATH, SUBPROTOCOL
from tests.faults import wire
from tests.faults.functions import digest_of
from tests.faults.kinds import HALF_OPEN
from tests.patience import PATIENCE
from tests.system.running import eventually

if TYPE_CHECKING:
    from tests.faults.stage import Stage

MIB = 1 << 20
MOMENT = 4.0
"""Seconds: less than a function gives one attempt to dial, and any of the gateway's timers here."""


@pytest.mark.fault(1)
def test_a_first_dial_that_is_refused_is_tried_again(stage: Stage) -> None:
    stage.proxy.refuse()
    before = stage.proxy.refused
    browser = stage.browse("stream", total=MIB)
    stage.proxy.wait(lambda: stage.proxy.refused >= before + 2)
    assert (stage.exchange["state"], stage.links) == ("invoking", [])
    stage.proxy.refuse(refusing=False)
    stage.assert_clean(browser)
    assert (browser.digest, len(stage.links)) == (digest_of(MIB), 1)
    stage.assert_over()
    assert stage.grown("dialback_attaches_total", result="accepted") == 1


@pytest.mark.fault(1)
def test_a_gateway_that_nobody_can_dial_is_served_by_the_receipt(brief: Stage) -> None:
    stage = brief
    stage.proxy.close_listener()
    browser = stage.browse("stream", total=MIB)
    stage.assert_clean(browser)
    assert (browser.digest, stage.links) == (digest_of(MIB), [])
    stage.assert_over()
    assert stage.grown("dialback_invokes_total", result="receipt") == 1


@pytest.mark.fault(3)
def test_an_upgrade_without_an_attach_is_closed_in_time(stage: Stage) -> None:
    async def knock(token: str) -> tuple[float, int | None]:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{stage.dialback.callback_port}{ATTACH_PATH}"
            headers = {"authorization": f"Bearer {token}"}
            began = monotonic()
            async with session.ws_connect(url, protocols=[SUBPROTOCOL], headers=headers) as socket:
                assert (await socket.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.CLOSE
                return monotonic() - began, socket.close_code

    browser = stage.browse("stream", total=1000, gates="end")
    browser.wait_bytes(1000)
    attach = wire.frames(stage.link(0).up)[0]
    assert isinstance(attach, Attach)
    opened = stage.dialback.metric("dialback_callbacks")
    seconds, code = asyncio.run(knock(attach.token))
    assert (code, seconds > ATTACH_DEADLINE - 0.1) == (CloseCode.NO_ATTACH, True)
    eventually(lambda: stage.dialback.metric("dialback_callbacks") == opened)
    stage.open("end")
    stage.assert_clean(browser)
    stage.assert_over()


@pytest.mark.fault(14)
def test_a_parked_socket_that_died_while_frozen_costs_a_moment(stage: Stage) -> None:
    first = stage.browse("stream", total=MIB)
    stage.assert_clean(first)
    eventually(lambda: stage.function.status() == "stopped")
    parked = stage.link(0)
    parked.strike(HALF_OPEN)
    second = stage.browse("stream", total=MIB)
    stage.assert_clean(second)
    assert (second.digest, second.seconds < MOMENT) == (digest_of(MIB), True)
    assert (len(stage.links), parked.up.swallowed > 0) == (2, True)
    stage.assert_over(more=1)


@pytest.mark.fault(16)
def test_an_environment_that_ends_while_parked_leaves_nothing(stage: Stage) -> None:
    first = stage.browse("stream", total=MIB)
    stage.assert_clean(first)
    process = stage.function
    eventually(lambda: process.status() == "stopped")
    assert stage.link(0).closed is False
    opened = stage.dialback.metric("dialback_callbacks")
    process.kill()
    eventually(lambda: not process.is_running())  # and so the gateway knows
    eventually(lambda: stage.dialback.metric("dialback_callbacks") == opened - 1)
    second = stage.browse("stream", total=MIB)
    stage.assert_clean(second)
    assert second.digest == digest_of(MIB)
    stage.assert_over()
