"""What TLS costs: without, with ours (`gateway/tls`), and with the event loops' own.

python -m tests.benchmarks.tls                  all three on asyncio and on uvloop: half a minute
python -m tests.benchmarks.tls uvloop ours      one of them

For each: KiB that an idle connection holds, ms of CPU for its handshake, us of CPU for a chunk. Each figure is of a
process of its own; its client, in another one, reads as fast as it can. Ratios of one run are what counts.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from gateway.crowds import Crowd
from gateway.edge.response import WRITE_HIGH_WATER
from gateway.heap import keep_freed_pages
from gateway.tls.connection import TlsConnection
from gateway.tls.handshakes import Handshakes
from tests import entry
from tests.certificates import serving
from tests.gateway.loops import LOOPS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

KINDS = ("none", "ours", "the loop's")
CONNECTIONS = 1000
CHUNKS = {1024: 40_000, 65_536: 6_000}
"""So many of each size, in bytes."""

CLIENT = """
import socket, ssl, sys
port, tls, count = int(sys.argv[1]), sys.argv[2] != "none", int(sys.argv[3])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
sockets = []
for _ in range(count):
    one = socket.create_connection(("127.0.0.1", port))
    one = context.wrap_socket(one) if tls else one
    one.sendall(b"go")
    sockets.append(one)
    if count > 1:
        assert one.recv(1)
print(flush=True)
if count > 1:
    sys.stdin.readline()
while count == 1 and sockets[0].recv(1 << 18):
    pass
"""


class Chunks(asyncio.Protocol):
    """Sends chunks as the edge does, and tells what each cost."""

    def __init__(self, size: int, done: asyncio.Future[float]) -> None:
        self._size, self._done = size, done
        self._room = asyncio.Event()
        self._room.set()

    @override
    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    @override
    def pause_writing(self) -> None:
        self._room.clear()

    @override
    def resume_writing(self) -> None:
        self._room.set()

    @override
    def data_received(self, data: bytes) -> None:
        self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        parts = (b"%x\r\n" % self._size, bytes(self._size), b"\r\n")
        begun = time.process_time()
        for number in range(CHUNKS[self._size]):
            self._transport.writelines(parts)
            await self._room.wait()
            if number % 8 == 0:
                await asyncio.sleep(0)
        self._done.set_result((time.process_time() - begun) / CHUNKS[self._size] * 1e6)
        self._transport.close()


class Idle(asyncio.Protocol):
    """Answers once, and stays."""

    @override
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self._transport.write(b"x")


async def serve(kind: str, factory: Callable[[], asyncio.Protocol]) -> int:
    """Listen; return the port."""
    loop = asyncio.get_running_loop()
    context: ssl.SSLContext = serving()
    made: Any = factory
    if kind == "ours":
        handshakes = Handshakes(Crowd("benchmark", 2 * CONNECTIONS))
        made = partial(TlsConnection, factory, context, "benchmark", handshakes)
    own = context if kind == "the loop's" else None
    listener = await loop.create_server(made, "127.0.0.1", 0, ssl=own, backlog=CONNECTIONS)
    port: int = listener.sockets[0].getsockname()[1]
    return port


async def measure(kind: str) -> dict[str, float]:
    """Return KiB of an idle connection, ms of its handshake, and us of each chunk."""
    keep_freed_pages()
    port = await serve(kind, Idle)
    resident, begun = _resident(), time.process_time()
    client = await _client(port, kind, CONNECTIONS)
    found = {
        "KiB each": (_resident() - resident) / CONNECTIONS,
        "ms to set up": (time.process_time() - begun) / CONNECTIONS * 1e3,
    }
    await client.communicate(b"\n")
    for size in CHUNKS:
        done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        client = await _client(await serve(kind, partial(Chunks, size, done)), kind, 1)
        found[f"us for {size:,} bytes"] = await done
        await client.wait()
    return found


async def _client(port: int, kind: str, count: int) -> asyncio.subprocess.Process:
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLIENT, str(port), kind, str(count)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert client.stdout is not None
    await client.stdout.readline()
    return client


def _resident() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4.0


def main() -> None:
    """Measure one kind on one loop, or, without arguments, each in a process of its own."""
    parser = entry.parser("tests.benchmarks.tls", __doc__)
    parser.add_argument("loop", nargs="?", choices=LOOPS, help="(default: each)")
    parser.add_argument("kind", nargs="?", choices=KINDS, help="(default: each)")
    options = parser.parse_args()
    if options.kind:
        with asyncio.Runner(loop_factory=LOOPS[options.loop]) as runner:
            print(json.dumps(runner.run(measure(options.kind))))
        return
    if options.loop:
        parser.error("a LOOP needs a KIND beside it")
    for loop in LOOPS:
        for kind in KINDS:
            again = (sys.executable, "-m", "tests.benchmarks.tls", loop, kind)
            told = subprocess.run(again, capture_output=True, check=True, text=True).stdout
            figures = ", ".join(f"{value:.1f} {name}" for name, value in json.loads(told).items())
            print(f"{loop:8} TLS: {kind:11} {figures}", flush=True)


if __name__ == "__main__":
    main()
