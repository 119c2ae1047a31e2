"""What a function returns once its response is whole: it changes nothing, and is counted as what it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.invoke.base import InvokeResult
from protocol.receipt import Receipt
from tests.gateway.exchange.asking import get
from tests.gateway.exchange.peer import Peer, gateway
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

LATE: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "receipt": ("receipt", lambda receipt: receipt),
    "with the rest": (
        "receipt",
        lambda receipt: with_fields(
            receipt, head={"status": 200, "headers": []}, tail={"offset": 0, "base64": "aGVsbG8="}
        ),
    ),
    "of another": ("receipt", lambda receipt: with_fields(receipt, xid="0" * 32)),
    "malformed inside": ("receipt", lambda receipt: with_fields(receipt, tail={"base64": "?"})),
    "malformed": ("answer", lambda receipt: receipt | {"dialback": "?"}),
    "not alone": ("answer", lambda receipt: receipt | {"body": ""}),
    "answer": ("answer", lambda _: {"statusCode": 500, "body": "no"}),
    "no answer": ("function_failed", lambda _: {"statusCode": 999}),
    "error": ("function_failed", lambda receipt: raised("Oh", receipt)),
    "timeout": ("timed_out", lambda receipt: raised("Sandbox.Timedout", receipt)),
}


def with_fields(receipt: dict[str, Any], **fields: object) -> dict[str, Any]:
    return {"dialback": receipt["dialback"] | fields}


def raised(kind: str, receipt: dict[str, Any]) -> InvokeResult:
    """An error whose object also says what a receipt says."""
    payload = json.dumps({"errorType": kind, "errorMessage": "", **receipt}).encode()
    return InvokeResult(payload, "Unhandled", "request")


@pytest.mark.parametrize("late", LATE)
async def test_it_is_counted_as_what_it_is_and_the_response_stands(late: str) -> None:
    result, make = LATE[late]

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(b"whole")
        return make(await peer.end())

    async with gateway(function) as running:
        response, body = await get(running.url)
        assert (response.status, body) == (200, b"whole")
        assert await running.driver.returned(PATIENCE)
        (exchange,) = running.driver.exchanges()
        assert (exchange.outcome, exchange.reason) == ("completed", "streamed")
        assert (exchange.request_id, exchange.ignored) == ("request", 1)
        assert running.telemetry.route("/").invokes == {result: 1}


async def test_a_receipt_is_not_read_then(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    monkeypatch.setattr(Receipt, "parse", read.append)

    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        return await peer.end()

    async with gateway(function) as running:
        assert (await get(running.url))[0].status == 200
        assert await running.driver.returned(PATIENCE)
        assert running.telemetry.route("/").invokes == {"receipt": 1}
    assert not read
