"""Callbacks that are lost without a word, or that take nothing: the stream detaches, and resumes."""

from __future__ import annotations

import asyncio
import io
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.timing import Timing
from protocol.codec import encode
from protocol.errors import CloseCode
from protocol.frames import Cancel, Data
from protocol.limits import MAX_WINDOW
from tests.faults.kinds import HALF_OPEN
from tests.faults.proxy import serving_proxy
from tests.gateway.exchange.asking import eventually, expect_broken, get
from tests.gateway.exchange.peer import GatewayUnderTest, Peer, gateway
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

TIMING = Timing(ping=5.0, dead=5.0)
SILENCE = 1.0
"""Seconds of it at a time, until a connection is given up."""
BODY = bytes(range(256)) * 64


async def silence_until(done: Callable[[], bool]) -> None:
    """Let time pass as long as something is not so; every other timer is far off."""
    async with asyncio.timeout(PATIENCE):
        while not done():
            await pass_time(SILENCE)


@pytest.mark.fault(10, 11)
@pytest.mark.steered
async def test_a_line_that_is_lost_without_a_fin_is_found_dead_and_the_stream_resumes() -> None:
    states: list[str] = []

    async def function(peer: Peer) -> Any:
        direct = peer.envelope
        async with serving_proxy(("127.0.0.1", running.callback_port)) as proxy:
            peer.envelope = replace(direct, urls=(proxy.url,))
            await peer.dial()
            await peer.start()
            await peer.write(BODY)
            await eventually(lambda: written(running) == len(BODY))
            proxy.strike(HALF_OPEN)
            await silence_until(lambda: running.states != ["streaming"])
            states.extend(running.states)
            assert not peer.socket.closed  # nobody told this end
            peer.stream.detach()
        peer.envelope = direct
        await peer.dial()
        await peer.attached()
        await peer.write(BODY)
        return await peer.end()

    async with gateway(function, timing=TIMING, timeout=10 * PATIENCE) as running:
        _, body = await get(running.url)
    assert states == ["detached"]
    assert body == BODY + BODY


@pytest.mark.fault(10)
@pytest.mark.steered
async def test_a_function_that_takes_nothing_is_given_up_although_it_still_talks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "dialback.callback")

    async def function(peer: Peer) -> Any:
        await peer.dial(attach=False)
        transport = peer.socket._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await peer.attach(req_max=MAX_WINDOW)
        transport.pause_reading()
        await peer.start()
        await eventually(lambda: running.states == ["streaming"])
        for number in range(1, 10_000):  # the reader goes on although the writer is stuck
            await peer.write(b"x")
            await pass_time(SILENCE)
            await eventually(
                lambda: written(running) == number or running.states != ["streaming"]  # noqa: B023
            )
            if running.states != ["streaming"]:
                break
        assert running.states == ["detached"]
        await peer.cut()
        await peer.dial()
        await peer.attached()
        return await peer.end()

    upload = io.BytesIO(bytes(MAX_WINDOW))
    async with gateway(
        function, timing=TIMING, timeout=10 * PATIENCE, request_body="stream"
    ) as running:
        response, body = await get(running.url, "POST", data=upload)
        assert (response.status, set(body)) == (200, {ord("x")})
    ended = [record.args for record in caplog.records if record.msg == "callback ended: %s"]
    assert [error.close_code for (error,) in ended] == [CloseCode.WRITE_STALL]  # type: ignore[misc, union-attr]


def written(running: GatewayUnderTest) -> int:
    return running.driver.exchanges()[0].body_bytes


BAD_MESSAGES = {
    "malformed": b"\x93\xc1\xc1\xc1",
    "truncated": b"\x94\x04\x01",
    "too large": bytes(70_000),
    "data too large": encode(Data(1, 0, bytes(65_537))),
    "wrong direction": encode(Cancel(1, 1, "")),
    "text": "text",
}


async def spoil(peer: Peer, message: bytes | str) -> int | None:
    """Send what breaks a rule on a connection that is attached; the close code."""
    await peer.dial()
    await peer.attached()
    if isinstance(message, str):
        await peer.socket.send_str(message)
    else:
        await peer.socket.send_bytes(message)
    code = await peer.closed()
    peer.stream.detach()
    return code


@pytest.mark.fault(48, 49)
@pytest.mark.parametrize("message", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
async def test_two_broken_rules_are_survived_and_the_third_fails_the_exchange(
    message: bytes | str,
) -> None:
    async def survives(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(BODY)
        await peer.attached()
        peer.stream.detach()
        assert None not in [await spoil(peer, message), await spoil(peer, message)]
        await peer.dial()
        await peer.attached()
        return await peer.end()

    async def fails(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(BODY)
        for _ in range(3):
            await spoil(peer, message)
        await eventually(lambda: running.states == ["failed"])
        return {}

    async with gateway(survives) as running:
        assert (await get(running.url))[1] == BODY
    async with gateway(fails) as running:
        await expect_broken(running)
