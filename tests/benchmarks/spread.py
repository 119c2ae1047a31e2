"""How evenly several processes share connections: each its own listening socket, or one for all.

python -m tests.benchmarks.spread       2 and 4 processes, both ways, five rounds each: ten seconds

Clients come a moment after each other and stay, as those of a load balancer do; then all ask at once. It is
why `gateway.sockets.share` takes SO_REUSEPORT: with one socket for all, whoever happens to be awake takes more.
The table says how many of 50 connections each process had, the most first, and the median answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from typing import TYPE_CHECKING, cast

import uvloop
from typing_extensions import override

from gateway.address import Address
from gateway.listener import Listener
from gateway.sockets import BACKLOG, address_of, hold, share
from tests import entry

if TYPE_CHECKING:
    import socket

CLIENTS, REQUESTS, ROUNDS = 50, 40, 5
APART = 0.002  # seconds between two clients that come
WORK = 0.0003  # seconds of CPU for an answer: what a small response costs the gateway
ANY = Address("127.0.0.1", 0)


def main() -> None:
    """Measure both ways with 2 and 4 processes."""
    entry.parser("tests.benchmarks.spread", __doc__).parse_args()
    print("| processes | sockets | connections of each, by round | p50 ms |")
    print("|---|---|---|---|")
    for count in (2, 4):
        for own in (True, False):
            rounds = [one_round(count, own=own) for _ in range(ROUNDS)]
            spread = ", ".join(" ".join(map(str, counts)) for counts, _ in rounds)
            p50 = statistics.median(seconds for _, seconds in rounds) * 1e3
            print(f"| {count} | {'one each' if own else 'one for all'} | {spread} | {p50:.1f} |")


def one_round(count: int, *, own: bool) -> tuple[list[int], float]:
    """Return how many connections each process got, the most first, and the median answer's seconds."""
    with hold("edge", ANY, "") as holder:
        where = address_of(holder)
        first = share("edge", where, "")
        sockets = [first, *(share("edge", where, "") if own else first for _ in range(count - 1))]
        children = [start(one) for one in sockets]
        for one in sockets:
            one.close()
        for _, told in children:
            os.read(told, 1)  # it listens
        latencies = asyncio.run(ask(where))
        return sorted(map(stop, children), reverse=True), statistics.median(latencies)


def start(listening: socket.socket) -> tuple[int, int]:
    """Fork a process that serves; return its number, and where it will tell how many came."""
    told, tell = os.pipe()
    pid = os.fork()
    if not pid:
        uvloop.run(serve(listening, tell))
        os._exit(0)
    os.close(tell)
    return pid, told


def stop(child: tuple[int, int]) -> int:
    """End a process; return how many connections it had."""
    pid, told = child
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    with os.fdopen(told) as answer:
        return int(answer.read())


async def serve(listening: socket.socket, tell: int) -> None:
    """Answer until SIGTERM."""
    ended = asyncio.Event()
    made: list[Answering] = []

    class Answering(asyncio.Protocol):
        transport: asyncio.WriteTransport

        @override
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.WriteTransport", transport)
            made.append(self)

        @override
        def data_received(self, data: bytes) -> None:
            until = time.perf_counter() + WORK
            while time.perf_counter() < until:
                pass
            self.transport.write(data)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    listening.listen(BACKLOG)
    Listener("edge", listening, Answering, lambda: None)
    os.write(tell, b".")
    await ended.wait()
    os.write(tell, b"%d" % len(made))


async def ask(where: Address) -> list[float]:
    """Connect one by one, then ask on all connections; return each answer's seconds."""
    connections = []
    for _ in range(CLIENTS):
        connections.append(await asyncio.open_connection(where.host, where.port))
        await asyncio.sleep(APART)
    latencies: list[float] = []

    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            writer.write(b"?")
            await reader.readexactly(1)
            latencies.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(use(*one) for one in connections))
    return latencies


if __name__ == "__main__":
    main()
