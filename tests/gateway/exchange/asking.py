"""How a client asks a `GatewayUnderTest`, and what it expects."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.gateway.exchange.peer import Behaviour, GatewayUnderTest, gateway
from tests.patience import PATIENCE


async def get(url: str, method: str = "GET", **kwargs: Any) -> tuple[aiohttp.ClientResponse, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, **kwargs) as response,
    ):
        return response, await response.read()


async def fetch(behaviour: Behaviour, method: str = "GET", **kwargs: Any) -> tuple[int, bytes]:
    async with gateway(behaviour) as running:
        response, body = await get(running.url, method, **kwargs)
        return response.status, body


async def eventually(done: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not done():
            await asyncio.sleep(0.005)


async def expect_broken(running: GatewayUnderTest) -> None:
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
        await get(running.url)
    await eventually(lambda: running.states == ["failed"])


async def answer_of(behaviour: Behaviour, **kwargs: Any) -> tuple[int, str]:
    async with gateway(behaviour, **kwargs) as running:
        response, _ = await get(running.url)
        described = await response.json()
        assert [one.status for one in running.driver.exchanges()] == [response.status]
        assert described["exchange"] == response.headers["x-dialback-exchange"]
        return response.status, described["error"]
