"""How a client asks a `GatewayUnderTest`, and what it expects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.gateway.exchange.peer import Behaviour, GatewayUnderTest, gateway
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS = 40
"""After so many without a change a number stands still."""


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


async def stands_still(number: Callable[[], int]) -> int:
    """Wait until a number changes no more, and return it.

    Looks are counted and not seconds: between two of them everything that could go on did, however late they come.
    """
    async with asyncio.timeout(PATIENCE):
        last, looks = number(), 0
        while looks < LOOKS:
            await asyncio.sleep(0.005)
            now = number()
            looks = looks + 1 if now == last else 0
            last = now
    return last


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
