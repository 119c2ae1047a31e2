"""Whole exchanges over real sockets that fail, or whose client leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from gateway.edge.head import render_head as render
from gateway.invoke.base import InvokeOutcomeUnknown, InvokeResult
from gateway.timing import Timing
from protocol.codec import encode
from protocol.errors import CancelCode, RejectCode, ResetCode
from protocol.frames import Data, End, Head
from tests.gateway.exchange.asking import answer_of, eventually, expect_broken, get
from tests.gateway.exchange.peer import Peer, gateway
from tests.gateway.steering import pass_time

# ---------------------------------------------------------------- the visible failures


@pytest.mark.fault(9)
async def test_a_cut_that_is_reported_lost_breaks_the_response() -> None:
    async def function(peer: Peer) -> Any:
        await peer.begin_and_lose(b"before ")
        return peer.receipt()

    async with gateway(function) as running:
        await expect_broken(running)


@pytest.mark.fault(9)
async def test_a_cut_that_nobody_reports_breaks_the_response_in_time() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.attached()
        await peer.cut()
        await asyncio.Event().wait()

    async with gateway(function, timing=Timing(resume_grace=0.1)) as running:
        await expect_broken(running)


@pytest.mark.fault(53)
@pytest.mark.parametrize(
    "end", [lambda p: End(p.stream._sid, 5, 1), lambda p: End(p.stream._sid, 4, 0)]
)
async def test_an_end_that_does_not_match_is_never_a_clean_end(end: Any) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"hello")
        await peer.attached()
        await peer.send(end(peer))
        await peer.closed()
        return peer.receipt()

    async with gateway(function) as running:
        await expect_broken(running)


BODY_OF_SOMEBODY = b"account=0123"


@pytest.mark.parametrize(
    "message",
    [
        lambda sid: encode(Data(sid, 1_000, BODY_OF_SOMEBODY)),  # after a gap
        lambda sid: encode(Head(sid, 200, ((b"cookie", BODY_OF_SOMEBODY),), 0)),  # a second one
        lambda _: b"\xc1" + BODY_OF_SOMEBODY,
    ],
)
async def test_a_log_names_a_broken_rule_and_nothing_of_what_was_sent(
    message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"hello")
        await peer.attached()
        await peer.socket.send_bytes(message(peer.stream._sid))
        await peer.closed()
        return peer.receipt()

    caplog.set_level("DEBUG")
    async with gateway(function) as running:
        await expect_broken(running)
    assert "broke the protocol" in caplog.text
    assert BODY_OF_SOMEBODY.hex()[2:-2] not in caplog.text
    assert BODY_OF_SOMEBODY.decode() not in caplog.text


@pytest.mark.fault(43)
async def test_a_function_that_returns_in_the_middle_breaks_the_response() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"hello")
        await peer.attached()
        return {"statusCode": 200, "body": "ordinary"}

    async with gateway(function) as running:
        await expect_broken(running)


@pytest.mark.fault(39)
async def test_a_function_error_after_the_head_breaks_the_response() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.attached()
        return InvokeResult(b'{"errorType": "Runtime.ExitError"}', "Unhandled", "r")

    async with gateway(function) as running:
        await expect_broken(running)


async def test_a_reset_before_the_head_is_a_502() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        peer.stream.reset(ResetCode.HANDLER_ERROR, "a secret of the function")
        await peer.flush()
        return peer.receipt()

    status, error = await answer_of(function)
    assert (status, "secret" in error) == (502, False)


async def test_a_deadline_before_the_head_is_a_504() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        peer.stream.reset(ResetCode.DEADLINE, "")
        await peer.flush()
        return peer.receipt()

    assert (await answer_of(function))[0] == 504


@pytest.mark.fault(43)
async def test_a_function_that_could_not_dial_says_so() -> None:
    async def function(peer: Peer) -> Any:
        return peer.receipt(dial="connection refused")

    status, error = await answer_of(function)
    assert (status, "dial back" in error) == (502, True)


async def test_a_function_that_neither_answers_nor_attaches_is_a_504() -> None:
    async def function(peer: Peer) -> Any:
        raise InvokeOutcomeUnknown("the network failed")

    assert (await answer_of(function, timing=Timing(attach_timeout=0.1)))[0] == 504


@pytest.mark.steered
async def test_the_routes_timeout_is_a_504_and_reaches_the_function() -> None:
    codes: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        await pass_time(20.0)
        codes.append(await peer.cancelled())
        return peer.receipt()

    assert (await answer_of(function, timeout=20.0))[0] == 504
    assert codes == [CancelCode.TIMEOUT]


@pytest.mark.fault(54)
async def test_a_bad_head_is_a_502_that_never_reaches_the_client() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.attached()
        await peer.send(Head(peer.stream._sid, 200, ((b"x", b"a\r\nset-cookie: b"),)))
        await peer.closed()
        return peer.receipt()

    assert (await answer_of(function))[0] == 502


# ---------------------------------------------------------------- the client leaves


@pytest.mark.fault(29)
async def test_a_client_that_leaves_cancels_the_function() -> None:
    codes: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"hello")
        codes.append(await peer.cancelled())
        peer.stream.reset(ResetCode.CANCELLED, "as told")
        await peer.flush()
        return peer.receipt()

    async with gateway(function) as running:
        async with aiohttp.ClientSession() as session, session.get(running.url) as response:
            await response.content.readany()
            response.close()
        await eventually(lambda: codes == [CancelCode.CLIENT_GONE])
        assert running.states == ["cancelled"]


@pytest.mark.fault(28)
async def test_a_client_that_left_before_the_attach_is_told_by_a_reject() -> None:
    dialled, left = asyncio.Event(), asyncio.Event()
    codes: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial(attach=False)
        dialled.set()
        await left.wait()
        await peer.attach()
        await peer.until(lambda: peer.stream.rejected is not None)
        assert peer.stream.rejected is not None
        codes.append(peer.stream.rejected.code)
        return peer.receipt()

    async with gateway(function) as running:
        request = asyncio.create_task(get(running.url))
        await dialled.wait()
        request.cancel()
        await eventually(lambda: running.states == ["cancelled"])
        left.set()
        await eventually(lambda: codes == [RejectCode.CANCELLED])


async def test_a_bug_that_keeps_a_response_from_beginning_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = iter((True, False))

    def render_head(*args: Any, events: bool) -> bytes:
        if next(calls):
            raise ValueError("a bug")
        return render(*args, events=events)

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"hello")
        return await peer.end()

    monkeypatch.setattr("gateway.edge.response.render_head", render_head)
    async with gateway(function) as running:
        answer, body = await get(running.url)
        assert (answer.status, "the gateway failed" in body.decode()) == (500, True)
