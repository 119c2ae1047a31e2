"""What a parked callback costs a gateway in memory: one that carried a response, and waits for the next.

python -m tests.benchmarks.parked                       1,000 of them, some ten seconds
python -m tests.benchmarks.parked --connections 5000    so many

A gateway in a process of its own serves one request after the other; behind each is a function that dials, sends a
response of 64 KiB, returns, and keeps its connection. The figure is by how much the gateway's resident memory grew.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import psutil
from aiohttp import web

from gateway.invoke.base import Invocation
from tests import entry
from tests.benchmarks.quiet import CONFIG, CREDENTIALS
from tests.gateway.exchange.peer import Peer
from tests.patience import PATIENCE
from tests.system.running import parse_metrics, running_dialback

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.system.running import Dialback

WARM_UP = 200
"""Connections before the first look at memory: what is made once is made by then."""

BODY = bytes(64 * 1024)


class Functions:
    """Stands for AWS, and for as many functions as there are calls.

    Attributes:
        parked: those that returned.
    """

    def __init__(self) -> None:
        self.parked: list[Peer] = []

    async def invoke(self, request: web.Request) -> web.Response:
        """Answer one call of the Invoke API."""
        context = base64.b64decode(request.headers["X-Amz-Client-Context"])
        peer = Peer(Invocation(await request.read(), context, PATIENCE))
        await peer.dial()
        await peer.start()
        await peer.write(BODY)
        receipt = await peer.end()
        self.parked.append(peer)
        return web.json_response(receipt)


async def measure(connections: int) -> float:
    """Return the KiB of each."""
    functions, app = Functions(), web.Application()
    app.router.add_post("/2015-03-31/functions/{name}/invocations", functions.invoke)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "dialback.toml")
        config.write_text(CONFIG.format(port=port))
        running = running_dialback("--config", config, command="serve", env=CREDENTIALS)
        dialback = await asyncio.to_thread(running.__enter__)
        try:
            before = await _grown_to(dialback, WARM_UP)
            after = await _grown_to(dialback, WARM_UP + connections)
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
    await asyncio.gather(*(peer.close() for peer in functions.parked))
    await runner.cleanup()
    return (after - before) / 1024 / connections


async def _grown_to(dialback: Dialback, connections: int) -> int:
    """Have so many parked; return the gateway's bytes."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        for _ in range(await _parked(dialback, session), connections):
            async with session.get(dialback.url) as response:
                assert await response.read() == BODY
        async with asyncio.timeout(PATIENCE):
            while await _parked(dialback, session) < connections:
                await asyncio.sleep(0.01)
    return int(psutil.Process(dialback.pid).memory_info().rss)


async def _parked(dialback: Dialback, session: aiohttp.ClientSession) -> int:
    async with session.get(f"{dialback.admin_url}/metrics") as response:
        samples = parse_metrics(await response.text())
    return int(samples["dialback_callbacks", frozenset({("state", "parked")})])


def main(arguments: Sequence[str]) -> int:
    parser = entry.parser("tests.benchmarks.parked", __doc__)
    parser.add_argument("--connections", type=int, default=1_000, help="default: 1,000")
    options = parser.parse_args(arguments)
    each = asyncio.run(measure(options.connections))
    print(f"{options.connections:,} parked callbacks, memory of each: {each:.1f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
