"""A real gateway that may open few files: it sheds, pauses, lives on, and serves again."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import psutil
import pytest

from gateway.tokens import Tokens
from protocol.codec import encode
from protocol.frames import Park
from tests.patience import PATIENCE
from tests.system.running import COMMAND, Dialback, eventually, free_port, parse_metrics, running

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = Path(__file__).with_name("functions.py")
DESCRIPTORS = 160
PARKED = 40


@contextmanager
def poor_gateway(folder: Path) -> Iterator[Dialback]:
    """Run ``dialback serve`` with few descriptors and a key that tests know."""
    edge, callback, admin = free_port(), free_port(), free_port()
    (folder / "key").write_text("k" * 32)
    config = folder / "dialback.toml"
    config.write_text(
        f"""
        [gateway]
        edge = "127.0.0.1:{edge}"
        callback = "127.0.0.1:{callback}"
        admin = "127.0.0.1:{admin}"
        token_keys = ["key"]
        [[routes]]
        path = "/"
        target = "local:{FUNCTIONS}:echo"
        """
    )
    limited = ("sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh", COMMAND)
    with running(*limited, "serve", f"--config={config}", ready="ready") as process:
        yield Dialback(process, f"http://127.0.0.1:{edge}", callback, f"http://127.0.0.1:{admin}")


async def parked(dialback: Dialback, session: aiohttp.ClientSession) -> list[int]:
    """Park some callbacks; return the list that fills as they are closed, with their close codes."""
    codes: list[int] = []
    waiting: set[asyncio.Task[None]] = set()
    token = Tokens([b"k" * 32]).mint(bytes(16), 1, now=time.time(), lifetime=60)

    async def wait(one: aiohttp.ClientWebSocketResponse) -> None:
        await one.receive()
        codes.append(one.close_code or 0)

    for _ in range(PARKED):
        one = await session.ws_connect(
            f"ws://127.0.0.1:{dialback.callback_port}/v1/attach",
            protocols=["dialback.v1"],
            headers={"authorization": f"Bearer {token}"},
        )
        await one.send_bytes(encode(Park()))
        waiting.add(asyncio.create_task(wait(one)))
    return codes


def count_parked(admin: http.client.HTTPConnection) -> float:
    admin.request("GET", "/metrics")
    samples = parse_metrics(admin.getresponse().read().decode())
    return samples["dialback_callbacks", frozenset({("state", "parked")})]


def status(url: str) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@pytest.mark.fault(66)
async def test_without_descriptors_parked_callbacks_go_and_the_gateway_serves_again(
    tmp_path: Path,
) -> None:
    with poor_gateway(tmp_path) as dialback:
        admin = http.client.HTTPConnection(
            dialback.admin_url.removeprefix("http://"), timeout=PATIENCE
        )
        async with aiohttp.ClientSession() as session:
            codes = await parked(dialback, session)
            await asyncio.to_thread(lambda: eventually(lambda: count_parked(admin) == PARKED))
            crowd = [
                socket.create_connection(("127.0.0.1", int(dialback.url.rpartition(":")[2])))
                for _ in range(DESCRIPTORS)
            ]
            await asyncio.to_thread(lambda: eventually(lambda: count_parked(admin) == 0))
            while len(codes) < PARKED:
                await asyncio.sleep(0.01)
            assert set(codes) == {1001}
            process = psutil.Process(dialback.pid)
            spent = sum(process.cpu_times()[:2])
            await asyncio.sleep(1.0)  # out of descriptors for so long: it neither spins nor floods
            assert sum(process.cpu_times()[:2]) - spent < 0.5
            assert "pauses: descriptors are short" in dialback.stderr
            assert len(dialback.stderr.splitlines()) < 50
            assert await asyncio.to_thread(status, dialback.url) == 200  # whoever says nothing goes
            assert "connections that are silent are closed" in dialback.stderr
            for one in crowd:
                one.close()
        admin.close()
        assert dialback.process.stop() == 0
