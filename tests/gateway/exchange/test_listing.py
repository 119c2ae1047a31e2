"""What operators see of exchanges."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.exchange.exchange import Exchange
from gateway.exchange.listing import LISTED_MAX, listed
from tests.gateway.exchange.asking import eventually, get
from tests.gateway.exchange.peer import Peer, gateway
from tests.patience import PATIENCE


async def test_one_is_described_as_it_goes_and_when_it_is_over() -> None:
    go_on = asyncio.Event()

    async def function(peer: Peer) -> Any:
        await peer.begin_and_lose(b"hello")
        await peer.dial()
        await peer.attached()
        await go_on.wait()
        return await peer.end()

    async with gateway(function) as running, asyncio.timeout(PATIENCE):
        now = asyncio.get_running_loop().time
        asking = asyncio.create_task(get(running.url, "POST", data=b"123"))
        await eventually(lambda: [one["resumes"] for one in running.driver.listed(now())] == [1])
        (one,) = running.driver.listed(now())
        assert (one["state"], one["reason"], one["bytes"], one["status"]) == (
            "streaming",
            None,
            5,
            200,
        )
        assert 0 < one["ttfb"] <= one["age"] + 0.001
        go_on.set()
        await asking
        await eventually(lambda: running.driver.listed(now())[0]["request_id"])
        (one,) = running.driver.listed(now())
        assert (one["state"], one["reason"], one["note"]) == ("completed", "streamed", None)
        assert (one["calls"], one["request_bytes"], one["request_id"]) == (1, 3, "request")


def test_there_are_never_very_many_and_the_oldest_are_among_them() -> None:
    ended = [Exchange("0" * 32, route="/", method="GET", now=0.0)]
    under_way = [Exchange(f"{n:032x}", route="/", method="GET", now=n) for n in range(1, 3000)]
    shown = listed(ended, under_way, 3000.0)
    assert len(shown) == 1 + LISTED_MAX
    assert [one["age"] for one in shown[:3]] == [3000.0, 2999.0, 2998.0]
