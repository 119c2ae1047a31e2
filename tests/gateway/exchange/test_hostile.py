"""A function that means harm, or a thief with its token, beside a function that does not."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.timing import Timing
from protocol.codec import encode
from protocol.errors import RejectCode
from protocol.frames import Data, Head, Reject
from protocol.function_stream import FunctionStream
from protocol.limits import Limits
from tests.gateway.exchange.asking import eventually, get
from tests.gateway.exchange.peer import Peer, gateway, inline
from tests.gateway.steering import pass_time
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Harm = Callable[[Peer, Peer], Awaitable[None]]

PART = bytes(range(256)) * 256
PARTS = 20


async def reject_of(peer: Peer) -> RejectCode:
    """The code with which the gateway answers what was sent last."""
    while True:
        await peer.receive()
        if isinstance(peer.received[-1], Reject):
            return RejectCode(peer.received[-1].code)


# ---------------------------------------------------------------- what the bad one tries


async def uses_its_own_token(bad: Peer, good: Peer) -> None:
    await bad.dial(attach=False)
    await bad.attach(xid=good.envelope.xid_bytes)
    assert await reject_of(bad) is RejectCode.BAD_TOKEN


async def uses_the_others_token(bad: Peer, good: Peer) -> None:
    """It cannot know it; and would need the secret, too, which never leaves the other's process."""
    await bad.dial(attach=False)
    await bad.attach(
        xid=good.envelope.xid_bytes, token=good.envelope.token, secret=b"?" * 16, epoch=9
    )
    assert await reject_of(bad) is RejectCode.BAD_TOKEN


async def answers_for_the_other(bad: Peer, good: Peer) -> None:
    """The receipt is all that it says: see `Two`."""


async def sends_more_than_it_may(bad: Peer, good: Peer) -> None:
    await bad.dial()
    await bad.start()
    beyond = bad.envelope.window
    with suppress(ConnectionError):
        for offset in range(0, 4 * beyond, len(PART)):
            await bad.send(Data(1, offset, PART))


async def sends_garbage(bad: Peer, good: Peer) -> None:
    await bad.dial()
    for message in (
        b"\xff" * 100,
        encode(Data(1, 0, PART)) * 10,
        b"\x94" + b"\xdd\xff\xff\xff\xff",
    ):
        with suppress(ConnectionError):
            await bad.socket.send_bytes(message)
    await bad.closed()


async def says_nothing_more(bad: Peer, good: Peer) -> None:
    await bad.dial()
    await bad.start()
    await bad.write(b"x")
    closed = asyncio.create_task(bad.closed())
    async with asyncio.timeout(PATIENCE):
        while not closed.done():
            await pass_time(1.0)  # it answers no PING
    await closed


async def splits_the_response(bad: Peer, good: Peer) -> None:
    await bad.dial(attach=False)
    sid = (await bad.attach()).sid
    lines = b"1\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK"
    await bad.send(Head(sid, 200, ((b"x-a", lines),), 0))
    with suppress(ConnectionError):
        await bad.until(lambda: bad.stream.cancelled is not None)


HARMS = [
    uses_its_own_token,
    uses_the_others_token,
    answers_for_the_other,
    sends_more_than_it_may,
    sends_garbage,
    splits_the_response,
]


class Two:
    """A good and a bad function, told apart by the path that they are asked for."""

    def __init__(self, harm: Harm) -> None:
        self._harm = harm
        self._good: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()
        self.harmed = asyncio.Event()
        self.tried = False

    async def __call__(self, peer: Peer) -> Any:
        return await (self._bad if peer.event["rawPath"] == "/bad" else self._well)(peer)

    async def _well(self, peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.write(PART)
        await peer.attached()
        self._good.set_result(peer)
        listening = asyncio.create_task(answers_pings(peer))
        await self.harmed.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        for _ in range(PARTS - 1):
            await peer.write(PART)
        return await peer.end()

    async def _bad(self, peer: Peer) -> Any:
        good = await self._good
        asyncio.get_running_loop().call_later(0.3, self.harmed.set)  # while it goes on, if it does
        await self._harm(peer, good)
        self.tried = True
        self.harmed.set()
        lie = {"v": 1, "xid": good.envelope.xid, "inv": 1, "status": "reset", "code": 1}
        return {"dialback": lie}  # a receipt for the other's exchange


async def answers_pings(peer: Peer) -> None:
    while True:
        await peer.receive()
        await peer.flush()


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
async def test_harm_that_a_function_does_stays_with_its_own_exchange(harm: Harm) -> None:
    await stays_with_its_own(harm, Timing())


@pytest.mark.steered
async def test_a_function_that_says_nothing_more_is_the_only_one_that_is_lost() -> None:
    await stays_with_its_own(says_nothing_more, Timing(ping=5.0, dead=5.0))


async def stays_with_its_own(harm: Harm, timing: Timing) -> None:
    two = Two(harm)
    async with gateway(two, timing=timing, timeout=2 * PATIENCE) as running:
        well = asyncio.create_task(get(running.url + "/well"))
        bad = asyncio.create_task(get(running.url + "/bad"))
        response, body = await well
        assert (response.status, body) == (200, PART * PARTS)
        with suppress(aiohttp.ClientError):
            response, body = await bad
            assert response.status >= 500
            assert b"HTTP/1.1" not in body
        await eventually(lambda: two.tried)  # all of it, and what it expects came true
        await eventually(lambda: sorted(running.states) == ["completed", "failed"])


# ---------------------------------------------------------------- a stolen token


def thief_of(peer: Peer) -> Peer:
    """Somebody who has all that the gateway told the function."""
    thief = Peer(peer.invocation)
    thief.stream = FunctionStream(thief.envelope, secret=b"thief" + bytes(11), limits=Limits())
    return thief


async def test_a_token_that_is_stolen_opens_nothing_once_its_function_has_attached() -> None:
    async def function(peer: Peer) -> Any:
        await peer.dial()
        await peer.start()
        await peer.attached()
        thief = thief_of(peer)
        await thief.dial()
        assert await reject_of(thief) is RejectCode.BAD_TOKEN
        await thief.close()
        await peer.write(PART)
        return await peer.end()

    async with gateway(function) as running:
        assert (await get(running.url))[1] == PART


async def test_a_thief_who_is_quicker_has_this_one_exchange_and_no_other() -> None:
    """Which is why the callback wants TLS: whoever reads a token on its way can be the function."""
    exchanges: list[Peer] = []
    tried, told = asyncio.Event(), asyncio.Event()

    async def function(peer: Peer) -> Any:
        exchanges.append(peer)
        if len(exchanges) == 2:
            await tried.wait()
            return inline(peer, 200, b"the other's")
        thief = thief_of(peer)
        await thief.dial()
        await thief.start()
        await thief.attached()
        await peer.dial()
        assert await reject_of(peer) is RejectCode.BAD_TOKEN  # so it knows
        await thief.write(b"the thief's")
        await thief.end()
        other = asyncio.create_task(get(running.url))
        await eventually(lambda: len(exchanges) == 2)
        again = thief_of(peer)
        await again.dial(attach=False)
        await again.attach(xid=exchanges[1].envelope.xid_bytes)
        assert await reject_of(again) is RejectCode.BAD_TOKEN
        tried.set()
        assert (await other)[1] == b"the other's"
        await again.close()
        await thief.close()
        told.set()
        return thief.receipt()

    async with gateway(function) as running:
        assert (await get(running.url))[1] == b"the thief's"
        await asyncio.wait_for(told.wait(), PATIENCE)


async def test_a_token_is_of_no_use_when_its_exchange_is_over() -> None:
    left: list[Peer] = []

    async def function(peer: Peer) -> Any:
        left.append(thief_of(peer))
        return inline(peer, 200, b"whole")

    async with gateway(function) as running:
        assert (await get(running.url))[1] == b"whole"
        [thief] = left
        await thief.dial()
        assert await reject_of(thief) in (RejectCode.TERMINAL, RejectCode.UNKNOWN)
        await thief.close()
        await eventually(lambda: len(running.connections) == 0)
