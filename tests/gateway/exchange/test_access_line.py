"""What the one log line of an exchange says, and how much a function can make it say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gateway.invoke.base import InvokeResult
from protocol.limits import MAX_MESSAGE
from tests.gateway.exchange.asking import eventually, expect_broken, get
from tests.gateway.exchange.peer import Peer, gateway

if TYPE_CHECKING:
    import pytest

HUGE = "x" * 1_000_000


def access_line(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (record,) = [one for one in caplog.records if one.name == "dialback.edge"]
    return vars(record)


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

    caplog.set_level("INFO", "dialback.edge")
    async with gateway(function) as running, asyncio.timeout(10):
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

    caplog.set_level("INFO", "dialback.edge")
    async with gateway(function) as running, asyncio.timeout(10):
        await expect_broken(running)
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
        async with gateway(behaviour) as running, asyncio.timeout(10):
            assert (await get(running.url))[0].status == 502
            await eventually(lambda: caplog.records)
            line = access_line(caplog)
        assert len(line["note"]) <= MAX_MESSAGE
        assert all(len(one.getMessage()) < 10 * MAX_MESSAGE for one in caplog.records)
