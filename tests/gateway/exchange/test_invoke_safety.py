"""A function is called at most once for a request, not in vain, and not beyond its concurrency."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from msgspec.structs import replace

from gateway.errors import FunctionUnreachable, InvokeNotSent, NotInvoked, Throttled
from gateway.exchange.breaker import IN_VAIN_MAX, JITTER
from gateway.invoke.base import InvokeOutcomeUnknown, InvokeResult
from gateway.timing import Timing
from lambda_client import GatewayUnreachable
from protocol.errors import CancelCode, ResetCode
from tests.gateway.exchange.asking import answer_of, eventually, get
from tests.gateway.exchange.peer import GatewayUnderTest, Peer, gateway, inline
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from gateway.invoke.base import Invocation

QUICK = Timing(retry_pause=0.01, attach_timeout=0.05, cancel_grace=0.05, breaker_pause=0.1)
NOT_RUN = [Throttled("429"), InvokeNotSent("connection refused")]


async def status_of(running: GatewayUnderTest) -> int:
    return (await get(running.url))[0].status


async def inline_hello(peer: Peer) -> Any:
    return inline(peer, 200, b"hello")


# ---------------------------------------------------------------- tries of a call that did not run


@pytest.mark.fault(35, 36)
@pytest.mark.parametrize("error", NOT_RUN)
async def test_a_call_that_did_not_take_place_is_tried_again(error: NotInvoked) -> None:
    async def function(peer: Peer) -> Any:
        if running.invoker.invocations < 3:
            raise error
        return inline(peer, 200, b"at last")

    async with gateway(function, timing=QUICK) as running:
        assert (await get(running.url))[1] == b"at last"
        assert running.telemetry.route("/").invokes == {error.reason: 2, "receipt": 1}


@pytest.mark.fault(35, 36)
@pytest.mark.parametrize("error", NOT_RUN)
async def test_after_the_third_try_it_is_a_503_that_says_when_to_come_back(
    error: Exception,
) -> None:
    async def function(peer: Peer) -> Any:
        raise error

    async with gateway(function, timing=QUICK) as running:
        response, _ = await get(running.url)
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert running.invoker.invocations == 3


async def test_an_invoker_that_fails_at_once_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(invocation: Invocation) -> Awaitable[InvokeResult]:
        raise RuntimeError("a bug")

    async with gateway(inline_hello, concurrency=1) as running:
        with monkeypatch.context() as patched:
            patched.setattr(running.invoker, "invoke", broken)
            assert await status_of(running) == 502
        assert await running.driver.returned(PATIENCE)
        assert await status_of(running) == 200


async def test_nobody_is_called_again_for_a_client_that_left() -> None:
    async def function(peer: Peer) -> Any:
        raise Throttled("429")

    async with gateway(function, timing=Timing(retry_pause=600)) as running:
        request = asyncio.create_task(get(running.url))
        await eventually(lambda: running.invoker.invocations == 1)
        request.cancel()
        async with asyncio.timeout(PATIENCE):
            await eventually(lambda: running.states == ["cancelled"])
            assert await running.driver.returned(PATIENCE)
        assert running.invoker.invocations == 1


@pytest.mark.fault(37)
async def test_a_call_that_may_have_run_is_not_repeated_and_its_stream_goes_on() -> None:
    streams: list[asyncio.Task[Any]] = []

    async def stream(peer: Peer) -> None:
        await lost.wait()
        await peer.dial()
        await peer.start()
        await peer.write(b"it ran")
        await peer.end()

    async def function(peer: Peer) -> Any:
        twin = Peer(peer.invocation)  # this one is closed with the invoke leg
        streams.append(asyncio.create_task(stream(twin)))
        streams.append(asyncio.create_task(_close_after(streams[0], twin)))
        lost.set()
        raise InvokeOutcomeUnknown("reset after the request was sent")

    lost = asyncio.Event()
    async with gateway(function) as running:
        assert (await get(running.url))[1] == b"it ran"
        assert running.invoker.invocations == 1
        await asyncio.gather(*streams)


async def _close_after(stream: asyncio.Task[Any], peer: Peer) -> None:
    await asyncio.wait((stream,))
    await peer.close()


# ---------------------------------------------------------------- calls in vain


async def cannot_dial(peer: Peer) -> Any:
    return peer.receipt(dial="connection refused")


async def unknown(peer: Peer) -> Any:
    raise InvokeOutcomeUnknown("the network failed")


async def forbidden(peer: Peer) -> Any:
    raise FunctionUnreachable("AccessDeniedException")


async def not_sent(peer: Peer) -> Any:
    raise InvokeNotSent("connection refused")


async def cannot_dial_and_returns_too_much(peer: Peer) -> Any:
    error = {"errorType": GatewayUnreachable.__name__, "errorMessage": "refused"}
    return InvokeResult(json.dumps(error).encode(), "Unhandled", "r")


@pytest.mark.parametrize(
    "function", [cannot_dial, cannot_dial_and_returns_too_much, unknown, forbidden, not_sent]
)
async def test_calls_in_vain_stop_until_a_probe_comes_through(function: Any) -> None:
    async def repaired_later(peer: Peer) -> Any:
        return inline(peer, 200, b"") if repaired else await function(peer)

    repaired = False
    timing = Timing(retry_pause=0.01, attach_timeout=0.05, breaker_pause=600)
    async with gateway(repaired_later, timing=timing) as running:
        for _ in range(IN_VAIN_MAX):
            assert await status_of(running) in (502, 503, 504)
        before = running.invoker.invocations
        response, body = await get(running.url)
        assert response.status == 503
        assert 600 * (1 - JITTER) - 1 < int(response.headers["retry-after"]) <= 600 * (1 + JITTER)
        assert b"cannot reach this gateway" in body
        assert running.invoker.invocations == before
        numbers = running.telemetry.route("/")
        assert (numbers.breaker_state, numbers.breaker_openings) == (2, 1)
        repaired = True
        end_the_pause(running)
        assert await status_of(running) == 200
        assert running.invoker.invocations == before + 1
        assert numbers.breaker_state == 0


def end_the_pause(running: GatewayUnderTest) -> None:
    """Let the next call probe whether the function is still called in vain."""
    running.driver._lanes["/"]._breaker._probe_at = 0.0


async def unaware(peer: Peer) -> Any:
    return {"statusCode": 200, "body": "ordinary"}


async def raises(peer: Peer) -> Any:
    return InvokeResult(b'{"errorType": "ValueError"}', "Unhandled", "r")


async def crashes_after_the_attach(peer: Peer) -> Any:
    await peer.dial()
    await peer.attached()
    return InvokeResult(b'{"errorType": "Runtime.ExitError"}', "Unhandled", "r")


async def too_slow(peer: Peer) -> Any:
    await asyncio.sleep(0.15)
    raise InvokeOutcomeUnknown("no outcome within the timeout")


async def throttled(peer: Peer) -> Any:
    raise Throttled("429")


async def whole_answer_in_the_receipt(peer: Peer) -> Any:
    peer.stream.start(200, ())
    peer.stream.write(b"all of it")
    peer.stream.end()
    return peer.receipt(dial="connection refused")


@pytest.mark.parametrize(
    "function",
    [unaware, raises, crashes_after_the_attach, too_slow, throttled, whole_answer_in_the_receipt],
)
async def test_whatever_else_goes_wrong_calls_go_on(function: Any) -> None:
    timeout = 0.1 if function is too_slow else PATIENCE
    async with gateway(function, timing=QUICK, timeout=timeout) as running:
        statuses = {await status_of(running) for _ in range(IN_VAIN_MAX + 3)}
        assert len(statuses) == 1
        await running.driver.returned(PATIENCE)
        assert running.telemetry.route("/").breaker_openings == 0


async def test_one_log_line_when_calls_stop_and_one_when_they_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def function(peer: Peer) -> Any:
        return inline(peer, 200, b"") if repaired else await cannot_dial(peer)

    caplog.set_level("INFO", "dialback.exchange")
    repaired = False
    timing = replace(QUICK, breaker_pause=600)  # no probe may come between the two rounds
    async with gateway(function, timing=timing, concurrency=8) as running:
        for _ in range(2):
            await asyncio.gather(*(get(running.url) for _ in range(8)))
        repaired = True
        end_the_pause(running)
        assert await status_of(running) == 200
    lines = [one.getMessage() for one in caplog.records if one.name == "dialback.exchange"]
    assert [line.partition(";")[0] for line in lines] == [
        "route /: the function is called in vain",
        "route /: the function reaches this gateway again",
    ]


async def test_those_that_wait_at_the_gate_are_not_called_in_vain_either() -> None:
    timing = Timing(breaker_pause=600)
    async with gateway(cannot_dial, timing=timing, concurrency=1, queue=50) as running:
        answers = await asyncio.gather(*(get(running.url) for _ in range(40)))
        assert running.invoker.invocations == IN_VAIN_MAX
        assert sorted({response.status for response, _ in answers}) == [502, 503]


# ---------------------------------------------------------------- cancelled, and running on


@pytest.mark.fault(30)
@pytest.mark.parametrize("obeys", [True, False])
async def test_the_seconds_of_a_function_that_ignores_its_cancel_are_counted(obeys: bool) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.cancelled()
        if not obeys:
            await asyncio.sleep(0.2)
        peer.stream.reset(ResetCode.CANCELLED, "")
        await peer.flush()
        return peer.receipt()

    timing = Timing(cancel_grace=PATIENCE if obeys else 0.05)
    async with gateway(function, timing=timing) as running:
        async with aiohttp.ClientSession() as session, session.get(running.url):
            pass
        assert await running.driver.returned(PATIENCE)
        numbers = running.telemetry.route("/")
        assert numbers.cancels == {"client_gone": 1}
        assert (0.2 <= numbers.cancel_ignored_seconds < PATIENCE) is not obeys
        assert obeys is (numbers.cancel_ignored_seconds == 0)


async def test_a_function_that_ended_before_its_client_left_ignored_nothing() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        receipt = await peer.end()
        await asyncio.sleep(0.2)
        return receipt

    async with gateway(function, timing=QUICK) as running:
        assert await status_of(running) == 200
        assert await running.driver.returned(PATIENCE)
        numbers = running.telemetry.route("/")
        assert (numbers.cancels, numbers.cancel_ignored_seconds) == ({}, 0)


async def test_a_head_that_does_not_come_in_time_is_a_504_and_cancels_the_function() -> None:
    codes: list[int] = []

    async def function(peer: Peer) -> Any:
        await peer.dial()
        codes.append(await peer.cancelled())
        return peer.receipt()

    assert (await answer_of(function, head_timeout=0.1))[0] == 504
    assert codes == [CancelCode.TIMEOUT]


@pytest.mark.steered
async def test_a_head_in_time_may_be_followed_by_a_long_body() -> None:
    begun = asyncio.Event()

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await begun.wait()
        await pass_time(25.0)
        await peer.write(b"late")
        return await peer.end()

    async with (
        gateway(function, head_timeout=20.0, timeout=PATIENCE) as running,
        aiohttp.ClientSession() as session,
        session.get(running.url) as response,
    ):
        begun.set()
        assert await response.read() == b"late"


async def test_a_place_is_kept_as_long_as_the_function_runs_for_a_client_that_left() -> None:
    go_on = asyncio.Event()

    async def function(peer: Peer) -> Any:
        if running.invoker.invocations == 1:
            await go_on.wait()
        return inline(peer, 200, b"")

    async with gateway(function, concurrency=1, queue=0) as running:
        first = asyncio.create_task(get(running.url))
        await eventually(lambda: running.invoker.invocations == 1)
        first.cancel()
        await eventually(lambda: running.states == ["cancelled"])
        response, _ = await get(running.url)
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        go_on.set()
        assert await running.driver.returned(PATIENCE)
        assert await status_of(running) == 200
        assert running.invoker.invocations == 2
