"""See the package."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.exchange.breaker import IN_VAIN_MAX
from gateway.journal.budget import MemoryBudget
from gateway.timing import Timing
from tests.gateway.exchange.asking import eventually
from tests.gateway.exchange.peer import gateway
from tests.reconciliation import clients, functions
from tests.reconciliation.books import Books, access_lines, compare
from tests.reconciliation.clients import Asking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.gateway.exchange.peer import GatewayUnderTest
    from tests.reconciliation.books import Lines
    from tests.reconciliation.clients import Client
    from tests.reconciliation.functions import Act

ROUNDS, EACH = 6, 18
"""Requests of each kind in a round: some 2,300 in all."""

AT_ONCE = 40
# Functions by hand answer no PING while they wait for their client.
TIMING = Timing(retry_pause=0.01, ping=60, dead=60)
IMPATIENT = Timing(resume_grace=0.4, attach_timeout=0.2, cancel_grace=0.1, ping=60, dead=60)
ROOMY: dict[str, Any] = {
    "path": "/fn",
    "concurrency": 4 * AT_ONCE,
    "timeout": 60.0,
    "function_timeout": 60.0,
}
"""A route on which no request runs into a limit, unless it is told to."""

GET = "GET {path} HTTP/1.1\r\n"

KINDS: dict[str, tuple[Client, Act | None]] = {
    "streamed": (clients.whole("streamed"), functions.streamed),
    "inlined": (clients.whole("inline"), functions.inlined),
    "answered": (clients.whole("inline"), functions.answered),
    "resumed": (clients.whole("streamed"), functions.resumed),
    "tailed": (clients.whole("streamed"), functions.tailed),
    "uploaded": (clients.upload(50_000, "streamed"), functions.uploaded),
    "enclosed": (clients.upload(1000, "inline"), functions.inlined),
    "headed": (clients.head, functions.headed),
    "hiccuped": (clients.whole("inline"), functions.hiccuped),
    "crashed": (clients.error(502, "function_failed"), functions.crashed),
    "timed_out": (clients.error(504, "timed_out"), functions.timed_out),
    "throttled": (clients.error(503, "throttled"), functions.throttled),
    "broken": (clients.broken("stream_failed"), functions.broken),
    "left": (clients.leaves, functions.left),
    "left_at_once": (clients.leaves_at_once, functions.waiting),
    "malformed_body": (
        clients.raw(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            "Transfer-Encoding: chunked\r\n\r\nno size\r\n",
            400,
        ),
        None,
    ),
    "malformed": (clients.raw(GET + "no colon\r\n\r\n", 400), None),
    "long_header": (clients.raw(GET + f"Host: x\r\nX: {'x' * 17_000}\r\n\r\n", 431), None),
    "long_target": (clients.raw("GET {path}" + "x" * 17_000 + " HTTP/1.1\r\n\r\n", 414), None),
    "upgrade": (
        clients.raw(GET + "Host: x\r\nConnection: upgrade\r\nUpgrade: h3\r\n\r\n", 501),
        None,
    ),
    "elsewhere": (
        clients.raw("GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        None,
    ),
}


@asynccontextmanager
async def counted(
    acts: Mapping[str, Act], **settings: Any
) -> AsyncIterator[tuple[GatewayUnderTest, Books]]:
    """Run a gateway, and compare when the block and everything that it began has ended."""
    books = Books()
    settings = {**ROOMY, "timing": TIMING, **settings}
    with access_lines() as lines:
        async with gateway(functions.function_of(dict(acts), books), **settings) as running:
            yield running, books
            await eventually(lambda: at_rest(running, books, lines))
            compare(running, books, lines)


def at_rest(running: GatewayUnderTest, books: Books, lines: Lines) -> bool:
    return (
        not running.driver._legs
        and not running.handler._open
        and not len(running.connections)
        and len(lines.found) >= books.requests
    )


async def ask(running: GatewayUnderTest, books: Books, requests: list[tuple[str, Client]]) -> None:
    """Send requests, each by its client, `AT_ONCE` at a time."""
    places = asyncio.Semaphore(AT_ONCE)
    connector = aiohttp.TCPConnector(limit=0)

    async def one(path: str, client: Client) -> None:
        async with places:
            await client(Asking(session, running.port, path, books))

    async with (
        asyncio.timeout(50),
        aiohttp.ClientSession(connector=connector) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for number, (kind, client) in enumerate(requests):
            tasks.create_task(one(f"/fn/{kind}/{number}", client))


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_thousands_of_requests_of_every_outcome(seed: int) -> None:
    random.seed(seed)
    acts = {kind: act for kind, (_, act) in KINDS.items() if act is not None}
    requests = [(kind, client) for kind, (client, _) in KINDS.items() for _ in range(EACH)]
    random.shuffle(requests)
    async with counted(acts, queue=len(requests)) as (running, books):
        await ask(running, books, requests)
        assert books.requests == len(requests) > 2000 / ROUNDS


OUT_OF_TIME: dict[str, tuple[Client, Act, int, dict[str, Any]]] = {
    "no_head": (clients.error(504, "head_expired"), functions.waiting, 30, {"head_timeout": 0.3}),
    "no_end": (clients.broken("route_timeout"), functions.left, 12, {"timeout": 3.0}),
    "stubborn": (clients.broken("route_timeout"), functions.stubborn, 6, {"timeout": 3.0}),
    "lost": (clients.broken("resume_expired"), functions.lost, 30, {}),
    # One fewer than open the breaker.
    "vanished": (
        clients.error(504, "attach_expired"),
        functions.vanished,
        IN_VAIN_MAX - 1,
        {},
    ),
}
"""One timer for each, so that on a busy machine none comes before another."""


@pytest.mark.parametrize("kind", OUT_OF_TIME)
async def test_those_who_run_out_of_time(kind: str) -> None:
    client, act, count, limits = OUT_OF_TIME[kind]
    async with counted({kind: act}, timing=IMPATIENT, **limits) as (running, books):
        await ask(running, books, [(kind, client)] * count)
    ignored = count * functions.IGNORES_SECONDS if kind == "stubborn" else 0
    assert books.ignored >= ignored


async def test_those_for_whom_there_is_no_room() -> None:
    refused = 17

    async def client(asking: Asking) -> None:
        async with asking.request() as response:
            if response.status == 200:
                await asking.read(response)
                asking.saw("completed", "inline")
            else:
                asking.saw("failed", "queue_full")
                if asking.books.outcomes["failed", "queue_full"] == refused:
                    asking.books.signs["others"].set()

    acts = {"occupied": functions.occupied}
    async with counted(acts, concurrency=1, queue=2) as (running, books):
        await ask(running, books, [("occupied", client)] * 20)
        assert books.outcomes == {("completed", "inline"): 3, ("failed", "queue_full"): refused}


async def test_those_whose_function_is_called_in_vain() -> None:
    vain = clients.error(502, "unreachable")
    async with counted({"unreachable": functions.unreachable}) as (running, books):
        for number in range(IN_VAIN_MAX):
            await ask(running, books, [(f"unreachable/{number}", vain)])
        await ask(running, books, [("unreachable", clients.error(503, "breaker_open"))] * 40)
        text = running.telemetry.render().decode()
        assert 'dialback_breakers{route="/fn",state="open"} 1.0' in text
        assert 'dialback_breakers{route="/fn",state="closed"} 0.0' in text
        assert 'dialback_breaker_openings_total{route="/fn"} 1.0' in text


async def test_those_for_whom_there_is_no_memory() -> None:
    client = clients.error(503, "memory_used_up")
    budget = MemoryBudget(0)
    async with counted({}, budget=budget) as (running, books):
        await ask(running, books, [("any", client)] * 40)
        running.telemetry.memory = budget
        assert b"dialback_memory_refusals_total 40.0" in running.telemetry.render()


async def test_those_whose_body_is_too_large() -> None:
    client = clients.error(413, "body_too_large", "POST", size=5000)
    async with counted({}, request_body="inline") as (running, books):
        await ask(running, books, [("any", client)] * 40)


async def test_those_who_come_while_the_gateway_drains() -> None:
    async with counted({}) as (running, books):
        running.driver.refuse()
        await ask(running, books, [("any", clients.error(503, "draining"))] * 40)
        running.handler.drain()
        await ask(running, books, [("any", clients.refused(503))] * 40)


@pytest.mark.parametrize("state", ["invoking", "streaming", "detached"])
async def test_what_is_under_way_is_shown_as_it_goes(state: str) -> None:
    """Bytes, messages and states are seen before an exchange ends."""
    go_on, there = asyncio.Event(), asyncio.Event()

    async def function(peer: Any, books: Books) -> Any:
        if state != "invoking":
            await functions.begun(peer, books)
        if state == "detached":
            await peer.cut()
        there.set()
        await go_on.wait()
        if state == "invoking":
            return await functions.answered(peer, books)
        if state == "detached":
            await peer.dial()
            await peer.attached()
        return await peer.end()

    reason = "inline" if state == "invoking" else "streamed"
    async with counted({"slow": function}) as (running, books):
        asking = asyncio.create_task(ask(running, books, [("slow", clients.whole(reason))]))
        await there.wait()
        wanted = f'dialback_exchanges_active{{route="/fn",state="{state}"}} 1.0'
        await eventually(lambda: wanted in running.telemetry.render().decode())
        assert f'dialback_response_bytes_total{{route="/fn"}} {float(books.sent)}' in (
            running.telemetry.render().decode()
        )
        go_on.set()
        await asking
