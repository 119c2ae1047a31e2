"""The streams of a soak: what is asked for, and what became of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from typing_extensions import override

from tests.soak.content import Checker, Content
from tests.soak.strict import Broken, Response, request

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.soak.report import Report

KIB, MIB = 1 << 10, 1 << 20

HANG_SECONDS = 75.0
"""Without a byte for so long, a stream hangs: three times what a half-open connection costs, since
each is found out after 20 s of silence and several may hit the same stream."""

SLOW_BUFFER = 16 * KIB
"""Bytes that the kernel keeps for a slow reader; more, and the gateway would not feel it."""


class Kind(NamedTuple):
    """One kind of stream.

    Attributes:
        path: of the function.
        sizes: least and most bytes of its body.
        rate: bytes a second that the function makes; 0 for as many as it can.
        chunk: bytes of one write.
        read_rate: bytes a second that the client takes; 0 for as many as come.
        up: whether the body is sent up, too.
    """

    path: str
    sizes: tuple[int, int]
    rate: int = 0
    chunk: int = 64 * KIB
    read_rate: int = 0
    up: bool = False
    sized: bool = False


KINDS = {
    "trickling": Kind("down", (200 * KIB, 600 * KIB), rate=60 * KIB, chunk=600),
    "trickling out of async": Kind("down_async", (200 * KIB, 600 * KIB), rate=60 * KIB, chunk=600),
    "flowing": Kind("down_async", (4 * MIB, 12 * MIB), rate=MIB, chunk=10_000),
    "with a length": Kind("down", (4 * MIB, 12 * MIB), rate=MIB, chunk=10_000, sized=True),
    "at full speed": Kind("down", (16 * MIB, 48 * MIB)),
    "to a slow reader": Kind("down", (2 * MIB, 4 * MIB), read_rate=400 * KIB),
    "small": Kind("down", (0, 100 * KIB)),
    "uploads": Kind("hash", (4 * MIB, 24 * MIB), up=True),
    "echoes": Kind("echo", (2 * MIB, 8 * MIB), up=True),
}

WEIGHTS = {"trickling": 3, "trickling out of async": 3, "flowing": 3, "with a length": 2}
"""How much oftener than the others: what lasts is where faults land, and costs least."""


@dataclass(eq=False)
class Stream:
    """One request, while it runs.

    Attributes:
        name: its kind.
        kind: what that means.
        content: the body, down or up or both.
        checker: how much of it came, and was right.
        worker: process that makes the response; 0 before the head, and when all is over.
        exchange: its id.
        killed: its function was killed.
        frozen: its function is stopped.
        left: its client hung up.
    """

    name: str
    kind: Kind
    content: Content
    checker: Checker = field(init=False)
    worker: int = 0
    exchange: str = ""
    killed: bool = False
    frozen: bool = False
    left: bool = False
    _response: Response | None = None

    def __post_init__(self) -> None:
        self.checker = Checker(self.content)

    @override
    def __str__(self) -> str:
        size, total = self.checker.offset, self.content.total
        return f"{self.name}, seed {self.content.seed}, {size:,} of {total:,} bytes"

    @property
    def far_from_its_end(self) -> bool:
        """Whether its function cannot have written everything yet: it is held back by its rate."""
        return bool(self.kind.rate) and self.checker.offset < self.content.total // 2

    @property
    def is_nearly_here(self) -> bool:
        """Whether what is missing may be on its way already: its client cannot leave any more."""
        return not self.far_from_its_end and self.content.total - self.checker.offset < MIB

    def leave(self) -> None:
        """The client is gone."""
        if self._response is not None:
            self.left = True
            self._response.leave()

    async def run(self, base: str, report: Report) -> None:
        """Ask for it, follow it to its end, and report."""
        try:
            async with asyncio.timeout(HANG_SECONDS) as patience:
                await self._follow(base, report, patience)
        except TimeoutError:
            report.hung.append(str(self))
        except (Broken, OSError) as error:
            self._broke(report, f"{type(error).__name__}: {error}")

    async def _follow(self, base: str, report: Report, patience: asyncio.Timeout) -> None:
        body = self.content.chunks(self.kind.chunk) if self.kind.up else ()
        async with request(
            f"{base}/{self.kind.path}?{self._query()}",
            method="POST" if self.kind.up else "GET",
            body=body,
            length=self.content.total if self.kind.up else None,
            receive_buffer=SLOW_BUFFER if self.kind.read_rate else None,
        ) as response:
            if response.status != 200:
                self._refused(report, response, await response.read())
                return
            self._response, self.worker = response, int(response.headers["x-worker"])
            self.exchange = response.headers["x-dialback-exchange"]
            take = self._take_hash if self.kind.path == "hash" else self._take_body
            try:
                await take(response, patience, report)
            finally:
                self.worker = 0

    async def _take_body(
        self, response: Response, patience: asyncio.Timeout, report: Report
    ) -> None:
        loop, checker = asyncio.get_running_loop(), self.checker
        start = loop.time()
        try:
            async for data in response.body():
                checker.take(data)
                patience.reschedule(loop.time() + HANG_SECONDS)
                if self.kind.read_rate:  # a slow reader's own pace
                    await asyncio.sleep(start + checker.offset / self.kind.read_rate - loop.time())
        finally:
            report.bytes_compared += checker.offset * (2 if self.kind.up else 1)
            if checker.wrong is not None:
                report.add_wrong(checker.wrong)
        self._ended(report, whole=checker.whole)

    async def _take_hash(
        self, response: Response, patience: asyncio.Timeout, report: Report
    ) -> None:
        # All of the waiting is for the end of the upload, whose progress does not show here.
        patience.reschedule(asyncio.get_running_loop().time() + 2 * HANG_SECONDS)
        answer = json.loads(await response.read())
        report.bytes_compared += answer["size"]
        right = answer == {"sha256": self.content.sha256(), "size": self.content.total}
        self.checker.offset = answer["size"]
        self._ended(report, whole=right)

    def _query(self) -> str:
        kind = self.kind
        fields = {"seed": self.content.seed, "total": self.content.total, "chunk": kind.chunk}
        return urlencode({**fields, "rate": kind.rate, "sized": int(kind.sized)})

    def _ended(self, report: Report, *, whole: bool) -> None:
        """It has a clean end."""
        if whole:
            report.completed[self.name] += 1
        else:
            report.falsely_complete.append(str(self))

    def _refused(self, report: Report, response: Response, body: bytes) -> None:
        if response.status == 503 and "retry-after" in response.headers:
            report.refused += 1
        else:
            self._broke(report, f"{response.status} {body[:100]!r}")

    def _broke(self, report: Report, how: str) -> None:
        if self.left:
            report.cancelled += 1
        elif self.killed:
            report.killed += 1
        else:
            report.failed.append(f"{self}: {how}")


def any_stream(chance: random.Random) -> Stream:
    """A stream of a random kind, size and content."""
    name = chance.choices(list(KINDS), [WEIGHTS.get(name, 1) for name in KINDS])[0]
    kind = KINDS[name]
    return Stream(name, kind, Content(chance.getrandbits(31), chance.randint(*kind.sizes)))


class Streams:
    """So many at once, each followed by the next.

    Attributes:
        running: those under way.
    """

    def __init__(self, base: str, report: Report, chance: random.Random) -> None:
        self.running: set[Stream] = set()
        self._base = base
        self._report = report
        self._chance = chance

    async def keep_going(self, wanted: Callable[[], bool]) -> None:
        """Run one stream after the other as long as they are wanted."""
        while wanted():
            stream = any_stream(self._chance)
            self.running.add(stream)
            try:
                await stream.run(self._base, self._report)
            finally:
                self.running.discard(stream)
