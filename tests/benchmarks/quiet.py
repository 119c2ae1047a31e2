"""Many streams that say nothing: what each costs a server in memory, and all of them in CPU time."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import psutil

from tests.benchmarks import sections
from tests.benchmarks.client import Client, Exchange
from tests.benchmarks.contenders import NotStreamedError
from tests.benchmarks.counts import children, counted, cpu_of_all
from tests.benchmarks.peer import BYE, HELLO
from tests.benchmarks.results import Row
from tests.benchmarks.servers import running_direct, running_module, running_nginx
from tests.patience import PATIENCE
from tests.system.running import running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.benchmarks.counts import Counts
    from tests.benchmarks.results import Results
    from tests.system.running import Dialback

LEVELS = (100, 500, 1_000, 2_500, 5_000, 10_000)
"""Streams at a time, as far as the machine carries them. The largest is half of what a gateway admits by
default, and a gigabyte of memory with the peer's."""

DESCRIPTORS_EACH, DESCRIPTORS_SPARE = 3, 500
"""Of a gateway: client, callback and Invoke for each stream, and whatever else it has open."""

HOLD_SECONDS = 11.0
"""So long they are quiet: every callback is asked once whether it is still there, after 10 s. nginx,
and a gateway with fewer than `HELD_FROM` streams, have nothing to do that is worth the wait."""

HELD_FROM = 1_000

LANES = 64
"""Streams that are opened at a time."""

STREAM_SECONDS = 600.0
"""That a stream may take in all; the peer says the same to the client library."""

PIECES = 2
"""Of each stream: one when it begins, one when it ends."""

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-benchmark",
    "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}

CONFIG = """\
[gateway]
log_level = "warning"

[[routes]]
path = "/"
target = "aws:quiet"
endpoint = "http://127.0.0.1:{port}"
concurrency = 100000
queue = 100000
function_timeout = 600
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What so many streams came to.

    Attributes:
        streams: that were asked for.
        whole: of them that were whole in the end.
        kib: by which the server had grown, for each.
        open_cpu: CPU seconds of the server until each had its first byte.
        hold_cpu: while they were quiet.
        end_cpu: while they ended.
        hold_seconds: how long they were quiet.
    """

    streams: int
    whole: int
    kib: float
    open_cpu: float
    hold_cpu: float
    end_cpu: float
    hold_seconds: float


def carried(levels: Iterable[int], descriptors: int) -> tuple[int, ...]:
    """Return the levels that fit, and in place of those that do not the largest that does, rounded.

    Args:
        levels: streams at a time.
        descriptors: that a process may have open.
    """
    most = (descriptors - DESCRIPTORS_SPARE) // DESCRIPTORS_EACH
    most = max(100, most - most % (1_000 if most >= 1_000 else 100))
    return tuple(sorted({min(level, most) for level in levels}))


def memory_row(streams: int) -> Row:
    return Row(sections.QUIET, f"{streams:,} quiet streams, memory of each", "KiB")


def whole_row(streams: int) -> Row:
    return Row(
        sections.QUIET, f"{streams:,} quiet streams, whole in the end", "", less_is_better=False
    )


def put(results: Results, contender: str, held: list[Held]) -> None:
    """Note what each level came to."""
    for one in held:
        name = f"{one.streams:,} quiet streams"
        results.put(whole_row(one.streams), contender, one.whole)
        results.put(memory_row(one.streams), contender, one.kib)
        results.put(Row(sections.QUIET, f"{name}, CPU to open them", "s"), contender, one.open_cpu)
        if one.hold_seconds:
            hold = Row(sections.QUIET, f"{name}, CPU for {one.hold_seconds:g} s of silence", "s")
            results.put(hold, contender, one.hold_cpu)
        results.put(Row(sections.QUIET, f"{name}, CPU to end them", "s"), contender, one.end_cpu)


@dataclass(frozen=True, slots=True)
class Server:
    """Where quiet streams come from.

    Attributes:
        name: of the contender.
        url: of a stream.
        pid: of the server that is measured.
        release_url: lets them end.
        dialback: the gateway, if it is one.
    """

    name: str
    url: str
    pid: int
    release_url: str
    dialback: Dialback | None = None

    @property
    def _pids(self) -> list[int]:
        return [self.pid, *children(self.pid)]

    def cpu(self) -> float:
        return cpu_of_all(self._pids)

    def memory(self) -> int:
        return sum(psutil.Process(pid).memory_info().rss for pid in self._pids)

    def counters(self) -> Counts | None:
        """What came over callbacks so far; None if it has none."""
        if self.dialback is None:
            return None
        return counted(self.dialback.metrics(), "/")


@contextmanager
def servers() -> Iterator[list[Server]]:
    """dialback in front of a peer; plain aiohttp, and nginx in front of that, where it is installed."""
    with ExitStack() as stack:
        _, port = stack.enter_context(running_module("tests.benchmarks.peer"))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(folder, "dialback.toml")
        config.write_text(CONFIG.format(port=port))
        dialback = stack.enter_context(
            running_dialback("--config", config, command="serve", env=CREDENTIALS)
        )
        release = f"http://127.0.0.1:{port}/release"
        found = [Server("dialback", dialback.url, dialback.pid, release, dialback)]
        direct, port = stack.enter_context(running_direct())
        url, release = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/release"
        found.append(Server("direct", f"{url}/api", direct.pid, release))
        if shutil.which("nginx"):
            nginx, proxied = stack.enter_context(running_nginx(port))
            found.append(Server("nginx", f"http://127.0.0.1:{proxied}/api", nginx.pid, release))
        yield found


async def measure(
    server: Server, levels: tuple[int, ...], hold_seconds: float, results: Results
) -> list[Held]:
    """Hold so many streams, level by level; memory is beside what it was before the first.

    Raises:
        NotStreamedError: not every piece came over a callback.
    """
    client, found = Client(server.url), []
    await hold(server, client, LANES, 0.0, 0)  # what is made only once
    memory = server.memory()
    for level in levels:
        before = await asyncio.to_thread(server.counters)
        long = before is not None and level >= HELD_FROM
        held = await hold(server, client, level, hold_seconds if long else 0.0, memory)
        after = await asyncio.to_thread(server.counters)
        if before is not None and after is not None:
            done = after - before
            results.ways[f"quiet, {level:,}"].append((held.whole, done))
            if done.frames < PIECES * held.whole:
                raise NotStreamedError(f"{held.whole} streams, {done.frames:.0f} frames")
        found.append(held)
    return found


async def hold(server: Server, client: Client, streams: int, seconds: float, before: int) -> Held:
    """Open so many streams, hold them for some seconds, and let them end; `before` is memory."""
    start = server.cpu()
    todo, tasks = iter(range(streams)), list[asyncio.Task[Exchange]]()

    async def lane() -> None:
        for _ in todo:
            tasks.append(await _open(client))

    await asyncio.gather(*(lane() for _ in range(min(LANES, streams))))
    opened, memory = server.cpu(), server.memory()
    await asyncio.sleep(seconds)
    held = server.cpu()
    await asyncio.to_thread(lambda: urlopen(server.release_url, timeout=PATIENCE).close())
    exchanges = await asyncio.gather(*tasks)
    ended, expected = server.cpu(), len(HELLO + BYE)
    return Held(
        streams,
        sum(one.whole and one.size == expected for one in exchanges),
        (memory - before) / 1024 / streams,
        opened - start,
        held - opened,
        ended - held,
        seconds,
    )


async def _open(client: Client) -> asyncio.Task[Exchange]:
    """Begin a stream, and wait for its first byte, or its end if that is sooner."""
    arrived = asyncio.Event()

    def on_data(data: bytes) -> None:
        arrived.set()

    task = asyncio.create_task(client.fetch_once("quiet", timeout=STREAM_SECONDS, on_data=on_data))
    waiter = asyncio.create_task(arrived.wait())
    await asyncio.wait([waiter, task], return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    return task
