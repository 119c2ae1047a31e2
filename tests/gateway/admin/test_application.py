from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from gateway.admin.application import Admin
from gateway.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGE = "http://127.0.0.1:8080"
LISTED = {"id": "ab" * 16, "route": "/", "state": "streaming", "bytes": 7, "age": 0.5}


class Told:
    """A source that says what a test tells it to."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.is_ready = False
        self.telemetry = Telemetry()

    async def troubles(self) -> list[str]:
        return self.wrong

    async def ready(self) -> bool:
        return self.is_ready

    async def metrics(self) -> bytes:
        return self.telemetry.render()

    async def exchanges(self) -> list[dict[str, Any]]:
        return [LISTED]


@pytest.fixture
def source() -> Told:
    return Told()


@pytest.fixture
def admin(source: Told) -> Admin:
    return Admin(source, origins=[PAGE], names=["Ops.example"])


@pytest.fixture
async def client(admin: Admin) -> AsyncIterator[aiohttp.ClientSession]:
    async def call(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    runner = web.AppRunner(admin.application({"/call/{name}": call}, body_max=100))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield session
    await runner.cleanup()


async def test_it_is_alive_before_and_while_it_is_ready(
    client: aiohttp.ClientSession, source: Told
) -> None:
    for ready, status in ((False, 503), (True, 200), (False, 503)):
        source.is_ready = ready
        assert (await client.get("/readyz")).status == status
        answer = await client.get("/healthz")
        assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_whoever_is_not_well_says_why(client: aiohttp.ClientSession, source: Told) -> None:
    source.wrong = ["one is gone", "another sleeps"]
    answer = await client.get("/healthz")
    assert (answer.status, await answer.text()) == (503, "one is gone\nanother sleeps\n")


async def test_metrics_are_prometheus_text(client: aiohttp.ClientSession, source: Told) -> None:
    source.telemetry.route("/chat").ended.data_frames += 3
    answer = await client.get("/metrics")
    assert answer.content_type == "text/plain"
    assert 'dialback_data_frames_total{route="/chat"} 3.0' in await answer.text()


async def test_exchanges_are_listed(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/exchanges")
    assert await answer.json() == [LISTED]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_the_page_that_was_named_may_read_and_no_more(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/exchanges", headers={"Origin": PAGE})
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert (await client.post("/call/f", data=b"x", headers={"Origin": PAGE})).status == 403
    assert (await client.options("/exchanges", headers={"Origin": PAGE})).status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:80801", "null"])
async def test_other_pages_get_nothing(client: aiohttp.ClientSession, origin: str) -> None:
    for path in ("/exchanges", "/metrics", "/healthz"):
        answer = await client.get(path, headers={"Origin": origin})
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_further_handlers_stand_beside(client: aiohttp.ClientSession) -> None:
    assert await (await client.post("/call/f", data=b"event")).read() == b"event"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("PUT", "/metrics", 405)]
)
async def test_what_is_not_there_is_json(
    client: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status == status
    assert "error" in await answer.json()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9090", 200),
        ("[::1]:9090", 200),
        ("10.1.2.3", 200),  # a scraper's
        ("LOCALHOST:1", 200),
        ("ops.example:9090", 200),
        ("rebound.example:9090", 421),  # a page whose name was made to point here
        ("ops.example.rebound.example", 421),
        ("localhost.rebound.example", 421),
        ("[::1", 421),
        ("@", 421),
    ],
)
async def test_only_addresses_and_known_names_are_answered(
    client: aiohttp.ClientSession, host: str, status: int
) -> None:
    for path in ("/metrics", "/exchanges"):
        answer = await client.get(path, headers={"Host": host})
        assert answer.status == status
        if status == 421:
            assert "gateway.admin_names" in (await answer.json())["error"]
    answer = await client.post("/call/f", headers={"Host": host}, data=b"x")
    assert answer.status == status
    assert (await client.get("/healthz", headers={"Host": host})).status == 200


async def test_a_client_too_old_for_host_is_answered(client: aiohttp.ClientSession) -> None:
    base = client._base_url
    assert base is not None
    reader, writer = await asyncio.open_connection(base.host, base.port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 200 ")
    writer.close()
