"""What an invocation is made of, and how its result is read, by the route's payload version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.exchange.asking import get
from tests.gateway.exchange.peer import gateway

if TYPE_CHECKING:
    from tests.gateway.exchange.peer import Peer

ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"


@pytest.mark.parametrize(("version", "cookies"), [("2.0", ["b=2"]), ("1.0", ["a=1"])])
async def test_event_and_result_are_of_the_routes_version(version: str, cookies: list[str]) -> None:
    seen: list[Any] = []

    async def answer(peer: Peer) -> Any:
        seen.append(peer.event["version"])
        return {"statusCode": 200, "multiValueHeaders": {"set-cookie": ["a=1"]}, "cookies": ["b=2"]}

    async with gateway(answer, payload=version) as running:
        response, _ = await get(running.url)
    assert seen == [version]
    assert response.headers.getall("set-cookie") == cookies


async def test_the_trace_is_the_same_in_event_and_invocation() -> None:
    seen: list[Any] = []

    async def answer(peer: Peer) -> Any:
        seen.append((peer.event["headers"]["x-amzn-trace-id"], peer.invocation.trace_id))
        return {"statusCode": 200}

    async with gateway(answer) as running:
        await get(running.url, headers={"x-amzn-trace-id": ROOT})
        await get(running.url)
    assert seen[0] == (ROOT, ROOT)
    assert seen[1][0] == seen[1][1] != ROOT
