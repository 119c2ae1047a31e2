"""Requests a second with one gateway process and with several, side by side.

python -m tests.benchmarks.workers                        1 and 2 workers, 50 connections, two processors
python -m tests.benchmarks.workers --counts 1,2,4 --cores 0

Client, workers and functions share the processors. Connections are kept, as load balancers keep them, and
lie on the workers as the kernel has spread them; how, is printed, since the fullest worker sets the pace.
Two minutes; it stops if what it calls streamed did not come over the callback.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import uvloop

from tests import entry
from tests.benchmarks.client import Client
from tests.benchmarks.contenders import SPARE
from tests.benchmarks.cores import CORES, share
from tests.benchmarks.counts import children, cpu_of_all
from tests.benchmarks.load import percentile
from tests.benchmarks.servers import GATEWAY_CONFIG, route_table
from tests.system.running import running_dialback

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from tests.benchmarks.client import Connection
    from tests.benchmarks.contenders import Kind
    from tests.system.running import Dialback

WARM_MS = 200
"""So long a function stays while it is warmed up: time enough to dial for the first time."""

WARM_PASSES = 10
"""At most, after those: with more connections than processors, functions are started one after the other."""

STREAMED = 0.9
"""Of the responses, at least. A function that is started in the middle of a pass answers its first request
inline; with several workers nobody knows how many functions each will need."""

BODY = b"hello\n"
WARM_UPS = 4
"""Requests on each connection before anything is measured: every function has dialled by then."""


@dataclass
class Found:
    """What the passes of one gateway gave.

    Attributes:
        rates: requests a second, of each pass.
        latencies: seconds to the first byte, of all.
        cpu: seconds of the workers' processors for each request, of each pass.
        streamed: share of the responses that came over the callback, of each pass.
        spread: connections of each worker, the fullest first, of each round.
    """

    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    streamed: list[float] = field(default_factory=list)
    spread: list[list[int]] = field(default_factory=list)

    def row(self, name: str) -> str:
        """Return it as a line of the table."""
        spread = ", ".join(" ".join(map(str, one)) for one in self.spread)
        return (
            f"| {name} | {statistics.median(self.rates):,.0f} "
            f"({min(self.rates):,.0f}-{max(self.rates):,.0f}) "
            f"| {percentile(self.latencies, 50) * 1e3:.1f} | {percentile(self.latencies, 99) * 1e3:.1f} "
            f"| {statistics.median(self.cpu) * 1e6:,.0f} "
            f"| {min(self.streamed):.1%} | {spread} |"
        )


def main() -> None:
    """Measure as the command line says."""
    parser = entry.parser("tests.benchmarks.workers", __doc__)
    parser.add_argument("--counts", default="1,2", help="of workers, with commas between them")
    parser.add_argument("--kind", choices=["streamed", "buffered"], default="streamed")
    parser.add_argument("--at-once", type=int, default=50, help="connections")
    parser.add_argument("--rounds", type=int, default=3, help="in each, every gateway starts anew")
    parser.add_argument("--passes", type=int, default=5, help="of each round")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each pass")
    parser.add_argument("--cores", type=int, default=CORES, help="0: all; default: %(default)s")
    options = parser.parse_args()
    print(f"{options.kind}, {options.at_once} at once, on {share(options.cores)}\n")
    counts = [int(count) for count in options.counts.split(",")]
    found = {count: Found() for count in counts}
    for number in range(options.rounds):
        for count in counts[:: -1 if number % 2 else 1]:
            with running_gateway(count, options.kind, options.at_once) as dialback:
                pids = children(dialback.pid) if count > 1 else [dialback.pid]
                uvloop.run(measure(dialback, pids, options, found[count]))
    print(
        "| workers | requests/s (lowest-highest) | p50 ms | p99 ms | gateway us | streamed | connections |"
    )
    print("|---|---|---|---|---|---|---|")
    for count, one in found.items():
        print(one.row(str(count)))


@contextmanager
def running_gateway(workers: int, kind: Kind, at_once: int) -> Iterator[Dialback]:
    """Run so many workers, each with functions enough for every connection: they start when wanted."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "dialback.toml")
        concurrency = workers * (at_once + SPARE)
        config.write_text(GATEWAY_CONFIG + route_table(kind, concurrency))
        env = {"DIALBACK_WORKERS": str(workers), "DIALBACK_CALLBACK": "127.0.0.1:0"}
        with running_dialback("--config", config, command="serve", env=env) as dialback:
            yield dialback


async def measure(
    dialback: Dialback, pids: list[int], options: argparse.Namespace, found: Found
) -> None:
    """Warm one gateway up, and take the passes of one round.

    Raises:
        RuntimeError: what is called streamed did not come over the callback, or the other way round.
    """
    client = Client(f"{dialback.url}/{options.kind}")
    connections = [await client.connect() for _ in range(options.at_once)]
    for _ in range(WARM_UPS):
        await asyncio.gather(*(ask(client, one, WARM_MS) for one in connections))
    for _ in range(WARM_PASSES):
        warm = Found()
        await take_pass(client, connections, dialback, pids, options, warm)
        if options.kind == "buffered" or warm.streamed[0] >= STREAMED:
            break
    for _ in range(options.passes):
        await take_pass(client, connections, dialback, pids, options, found)
    if not (
        min(found.streamed) >= STREAMED if options.kind == "streamed" else not any(found.streamed)
    ):
        raise RuntimeError(f"of the responses were streamed: {found.streamed}")
    found.spread.append(sorted((clients_of(pid, dialback) for pid in pids), reverse=True))
    for one in connections:
        one.transport.close()


async def take_pass(
    client: Client,
    connections: list[Connection],
    dialback: Dialback,
    pids: list[int],
    options: argparse.Namespace,
    found: Found,
) -> None:
    """Ask on every connection until the time is over."""
    frames, cpu = await frames_of(dialback), cpu_of_all(pids)
    latencies: list[float] = []
    begun = time.perf_counter()

    async def ask_again_and_again(connection: Connection) -> None:
        latencies.append(await ask(client, connection))
        while time.perf_counter() - begun < options.seconds:
            latencies.append(await ask(client, connection))

    await asyncio.gather(*map(ask_again_and_again, connections))
    found.rates.append(len(latencies) / (time.perf_counter() - begun))
    found.cpu.append((cpu_of_all(pids) - cpu) / len(latencies))
    found.latencies += latencies
    found.streamed.append((await frames_of(dialback) - frames) / len(latencies))


async def ask(client: Client, connection: Connection, stay_ms: int = 0) -> float:
    """Ask once; return seconds to the first byte.

    Raises:
        RuntimeError: the answer is not whole.
    """
    body = bytearray()
    exchange = await client.fetch(
        f"tiny?stay={stay_ms}", connection=connection, on_data=body.extend
    )
    if not exchange.whole or body != BODY:
        raise RuntimeError(exchange.outcome)
    return exchange.first_at - exchange.sent


async def frames_of(dialback: Dialback) -> float:
    """DATA frames that came over callbacks so far."""
    return await asyncio.to_thread(dialback.metric, "dialback_data_frames_total")


def clients_of(pid: int, dialback: Dialback) -> int:
    """How many clients are connected to a process."""
    port = int(dialback.url.rpartition(":")[2])
    there = psutil.Process(pid).net_connections()
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr[1] == port for one in there)


if __name__ == "__main__":
    main()
