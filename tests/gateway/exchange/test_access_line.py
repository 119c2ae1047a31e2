"""What the one log line of an exchange says, and how much a function can make it say."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.edge import access
from gateway.errors import Throttled
from gateway.invoke.base import InvokeResult
from gateway.timing import Timing
from protocol.limits import MAX_MESSAGE
from tests.gateway.exchange.asking import eventually, expect_broken, get
from tests.gateway.exchange.peer import Peer, gateway
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE

HUGE = "x" * 1_000_000
WAITING = PATIENCE / 8


@pytest.fixture(autouse=True)
def returning(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late a call returns, its line waits for that, unless a test lets the time pass."""
    monkeypatch.setattr(access, "RETURN_SECONDS", WAITING)


def access_line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (record,) = [one for one in caplog.records if one.name == "dialback.access"]
    return vars(record)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(one) for one in caplog.records if one.name == "dialback.access"]


async def test_it_tells_everything_of_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start(201)
        await peer.write(b"hello")
        return InvokeResult(json.dumps(await peer.end()).encode(), None, "lambda-request-1")

    caplog.set_level("INFO", "dialback.access")
    headers = {
        "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
        "x-amzn-trace-id": f"Root=1-{'ab' * 4}-{'ab' * 12}",
    }
    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        url = f"{running.url}/chat?key=secret"
        response, _ = await get(url, "POST", data=b"1234567", headers=headers)
        await eventually(lambda: lines(caplog))
        (line,) = lines(caplog)
    assert response.headers["x-dialback-exchange"] == line["exchange"]
    wanted = {
        "levelname": "INFO",
        "route": "/",
        "method": "POST",
        "path": "/chat",
        "status": 201,
        "outcome": "completed",
        "reason": "streamed",
        "bytes": 5,
        "request_bytes": 7,
        "resumes": 0,
        "calls": 1,
        "request_id": "lambda-request-1",
        "client": "127.0.0.1",
        "trace": headers["x-amzn-trace-id"],
        "traceparent": headers["traceparent"],
    }
    assert {key: line[key] for key in wanted} == wanted
    assert 0 < line["ttfb_ms"] <= line["ms"] < 10_000
    assert "secret" not in str(line)


async def test_it_says_why_a_response_came_whole_and_not_as_a_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def function(peer: Peer) -> Any:
        peer.stream.start(200, ())
        peer.stream.write(b"all of it")
        peer.stream.end()
        return peer.receipt(dial="could not dial back to wss://there: no answer in time")

    caplog.set_level("INFO", "dialback.access")
    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        assert (await get(running.url))[1] == b"all of it"
        await eventually(lambda: lines(caplog))
    line = access_line(caplog)
    assert (line["levelname"], line["outcome"], line["reason"]) == ("INFO", "completed", "inline")
    assert line["note"] == (
        "not streamed (dialback doctor finds out more): could not dial back to wss://there: no answer in time"
    )


@pytest.mark.steered
async def test_it_does_not_wait_long_for_a_function_that_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Several wait, and one timer stands for all; when the call returns at last, nothing more is written."""
    release = asyncio.Event()

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.end()
        await release.wait()
        return InvokeResult(json.dumps(peer.receipt()).encode(), None, "late")

    caplog.set_level("INFO", "dialback.access")
    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        for count in range(1, 4):
            await get(running.url)
            await eventually(lambda: not running.handler._open)
            assert len(lines(caplog)) == count - 1
            await pass_time(WAITING)
            await eventually(lambda count=count: len(lines(caplog)) == count)
        release.set()
        assert await running.driver.returned(PATIENCE)
        await get(running.url)
        await eventually(lambda: len(lines(caplog)) == 4)
    assert [line["request_id"] for line in lines(caplog)] == ["", "", "", "late"]


async def test_a_gateway_that_stops_writes_the_lines_that_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.end()
        await asyncio.Event().wait()

    caplog.set_level("INFO", "dialback.access")
    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        await get(running.url)
        await eventually(lambda: not running.handler._open)
        assert not lines(caplog)
        running.handler.close()
        assert access_line(caplog)["outcome"] == "completed"


async def test_calls_that_were_repeated_are_counted_and_failures_are_warnings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def function(peer: Peer) -> Any:
        raise Throttled("429")

    caplog.set_level("INFO", "dialback.access")
    timing = Timing(retry_pause=0.01)
    async with gateway(function, timing=timing) as running, asyncio.timeout(PATIENCE):
        assert (await get(running.url))[0].status == 503
        await eventually(lambda: lines(caplog))
    line = access_line(caplog)
    assert (line["outcome"], line["reason"], line["calls"]) == ("failed", "throttled", 3)
    assert (line["levelname"], line["note"]) == ("WARNING", "Throttled: 429")
    assert (line["request_id"], line["ttfb_ms"]) == ("", None)


async def test_it_counts_how_often_the_stream_was_resumed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        for _ in range(2):
            await peer.attached()
            await peer.cut()
            await peer.dial()
        await peer.attached()
        return await peer.end()

    caplog.set_level("INFO", "dialback.access")
    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        await get(running.url)
        await eventually(lambda: caplog.records)
        line = access_line(caplog)
    assert (line["outcome"], line["resumes"]) == ("completed", 2)
    assert "note" not in line


async def test_a_response_that_broke_off_has_its_reason_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.attached()
        return {"statusCode": 200}

    caplog.set_level("INFO", "dialback.access")
    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        await expect_broken(running)
        await eventually(lambda: lines(caplog))
        line = access_line(caplog)
    assert (line["status"], line["outcome"], line["resumes"]) == (200, "failed", 0)
    assert line["note"] == "FunctionFailed: the function returned an ordinary answer"


async def test_a_function_cannot_fill_the_log_with_its_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def function(peer: Peer) -> Any:
        text = f'{{"errorType": "{HUGE}", "errorMessage": "{HUGE}"}}'
        return InvokeResult(text.encode(), "Unhandled", "r")

    async def cannot_dial(peer: Peer) -> Any:
        receipt: dict[str, Any] = peer.receipt(dial="refused")
        receipt["dialback"]["dial"] = HUGE
        return receipt

    caplog.set_level("INFO", "dialback")
    for behaviour in (function, cannot_dial):
        caplog.clear()
        async with gateway(behaviour) as running, asyncio.timeout(PATIENCE):
            assert (await get(running.url))[0].status == 502
            await eventually(lambda: caplog.records)
            line = access_line(caplog)
        assert len(line["note"]) <= MAX_MESSAGE
        assert all(len(one.getMessage()) < 10 * MAX_MESSAGE for one in caplog.records)
