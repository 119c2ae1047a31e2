"""Hundreds of exchanges that end in every way leave nothing behind (invariant I10)."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil
import pytest

from gateway.invoke.base import InvokeOutcomeUnknown, InvokeResult
from gateway.journal.memory import MemoryJournal
from gateway.timing import Timing
from protocol.errors import ProtocolError, ResetCode
from protocol.limits import KIB
from tests.gateway.exchange.peer import Peer, gateway, inline
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from tests.gateway.exchange.peer import GatewayUnderTest

EXCHANGES = 200
AT_ONCE = 25
TIMING = Timing(resume_grace=0.2, attach_timeout=0.2, ping=0.2, dead=0.2)
LOOK_SECONDS = 0.25
"""So often is looked at what is left: that takes some 10 ms."""
PIECE = bytes(range(256)) * 64
ENDLESS = "/endless"
CLIENT_SECONDS, FUNCTION_SECONDS = 20.0, 1.0
"""A function that waits for what never comes gives up, as one does that runs into its deadline."""


# ---------------------------------------------------------------- what functions do


async def begin(peer: Peer) -> None:
    await peer.dial()
    await peer.attached()
    await peer.start()
    await peer.write(PIECE)


async def streams(peer: Peer) -> Any:
    await begin(peer)
    for _ in range(20):
        await peer.write(PIECE)
    return await peer.end()


async def answers_inline(peer: Peer) -> Any:
    return inline(peer, 200, b"small")


async def answers_plainly(peer: Peer) -> Any:
    return {"statusCode": 200, "body": "plain"}


async def answers_nonsense(peer: Peer) -> Any:
    return {"statusCode": "so-so"}


async def raises(peer: Peer) -> Any:
    if random.random() < 0.5:
        await begin(peer)
    return InvokeResult(b'{"errorType": "E", "errorMessage": "m"}', "Unhandled", "request")


async def resets(peer: Peer) -> Any:
    await begin(peer)
    peer.stream.reset(ResetCode.HANDLER_ERROR, "")
    await peer.flush()
    return {}


async def is_cut_and_comes_back(peer: Peer) -> Any:
    await begin(peer)
    for _ in range(2):
        await peer.cut()
        await peer.dial()
        await peer.attached()
        await peer.write(PIECE)
    return await peer.end()


async def is_cut_and_returns_the_rest(peer: Peer) -> Any:
    await begin(peer)
    await peer.cut()
    peer.stream.end()
    return peer.receipt()


async def is_cut_for_good(peer: Peer) -> Any:
    await begin(peer)
    await peer.cut()
    raise InvokeOutcomeUnknown("the network")


async def is_never_heard_of(peer: Peer) -> Any:
    raise InvokeOutcomeUnknown("the network")


async def breaks_the_rules(peer: Peer) -> Any:
    await begin(peer)
    for _ in range(3):
        await peer.socket.send_bytes(b"\x80")
        await peer.closed()
        peer.stream.detach()
        with suppress(ProtocolError, aiohttp.ClientError):
            await peer.dial()
            await peer.receive()
    return {}


async def streams_on(peer: Peer) -> Any:
    """What `leaves_in_the_middle` asks for: however slow the machine is, it is never whole."""
    await begin(peer)
    await peer.cancelled()
    return {}


FUNCTIONS: list[Callable[[Peer], Awaitable[Any]]] = [
    streams,
    streams,
    answers_inline,
    answers_plainly,
    answers_nonsense,
    raises,
    resets,
    is_cut_and_comes_back,
    is_cut_and_returns_the_rest,
    is_cut_for_good,
    is_never_heard_of,
    breaks_the_rules,
]


# ---------------------------------------------------------------- what clients do


async def reads_all(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as response:
        await response.read()


async def asks_for_the_head(session: aiohttp.ClientSession, url: str) -> None:
    async with session.head(url) as response:
        await response.read()


async def leaves_early(session: aiohttp.ClientSession, url: str) -> None:
    await for_a_while(60, reads_all(session, url))


async def leaves_in_the_middle(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url + ENDLESS) as response:
        await response.content.read(1)
        response.close()


async def uploads(session: aiohttp.ClientSession, url: str, pieces: int = 200) -> None:
    async with session.post(url, data=upload(pieces)) as response:
        await response.read()


async def breaks_its_upload_off(session: aiohttp.ClientSession, url: str) -> None:
    await for_a_while(150, uploads(session, url, 10_000))


async def for_a_while(turns: int, asking: Coroutine[Any, Any, None]) -> None:
    """Ask, and leave after less than so many turns of the loop: as far on a slow machine as on a fast one."""
    task = asyncio.create_task(asking)
    try:
        for _ in range(random.randrange(turns)):
            await asyncio.sleep(0)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def upload(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(4 * KIB)


CLIENTS = [
    reads_all,
    reads_all,
    asks_for_the_head,
    leaves_early,
    leaves_in_the_middle,
    uploads,
    breaks_its_upload_off,
]


# ---------------------------------------------------------------- the tests


def left_over(running: GatewayUnderTest) -> dict[str, int]:
    """Everything that has to be as before once nothing goes on."""
    gc.collect()  # an exception keeps what it passed through in a circle
    loop = asyncio.get_running_loop()
    timers = [one for one in getattr(loop, "_scheduled", ()) if not one.cancelled()]
    return {
        "tasks": len(asyncio.all_tasks()),
        "timers": len(timers),
        "descriptors": psutil.Process().num_fds(),
        "living": len(running.store),
        "connections": len(running.connections),
        "parked": running.connections.parked,
        "unattached": len(running.connections._unattached),
        "held": running.store.budget.held,
        "journals": sum(type(one) is MemoryJournal for one in gc.get_objects()),
        "active": len(running.telemetry.under_way),
        "queued": running.telemetry.route("/").queue_depth,
        "runs": len(running.driver._runs),
        "legs": len(running.driver._legs),
        "being served": len(running.handler._open),
    }


def more(now: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in now.items() if count > before[name]}


@pytest.mark.parametrize("seed", range(2))
async def test_exchanges_that_end_in_every_way_leave_nothing(seed: int) -> None:
    random.seed(seed)
    places = asyncio.Semaphore(AT_ONCE)

    async def ask(url: str) -> None:
        client = random.choice(CLIENTS)
        async with places, asyncio.timeout(CLIENT_SECONDS), aiohttp.ClientSession() as session:
            with suppress(aiohttp.ClientError, TimeoutError):
                await client(session, url)

    async def function(peer: Peer) -> Any:
        behaviour = random.choice(FUNCTIONS)
        with suppress(ProtocolError, aiohttp.ClientError, ConnectionError, TimeoutError):
            if peer.event["rawPath"] == ENDLESS:
                return await streams_on(peer)
            async with asyncio.timeout(FUNCTION_SECONDS):
                return await behaviour(peer)
        return {}  # the client left, or something else ended it first

    async with gateway(
        function, timing=TIMING, request_body="stream", concurrency=2 * AT_ONCE, queue=EXCHANGES
    ) as running:
        before = left_over(running)
        await asyncio.gather(*(ask(running.url) for _ in range(EXCHANGES)))
        settled = monotonic() + PATIENCE  # a timeout would be a timer itself
        while more(left_over(running), before) and monotonic() < settled:
            await asyncio.sleep(LOOK_SECONDS)
        assert more(left_over(running), before) == {}
        outcomes: Counter[str] = Counter()
        for (outcome, _), count in running.telemetry.route("/").outcomes.items():
            outcomes[outcome] += count
        assert sum(outcomes.values()) > EXCHANGES / 2
        assert min(outcomes[name] for name in ("completed", "failed", "cancelled")) > 5
