"""The forwarder gives up on a client that takes nothing, and on no other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from gateway.edge.response import Sink
from gateway.exchange.forwarder import Forwarder
from gateway.journal.memory import MemoryJournal
from gateway.telemetry.route import Totals
from gateway.tokens import Grant
from protocol.limits import INITIAL_WINDOW, Limits
from tests.gateway.journal.idle import Idle
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence


class SlowSink(Sink):
    """Holds what is written; says at each look how much is left; is drained when nothing is."""

    def __init__(self, pending: Sequence[int]) -> None:
        self._left = list(pending)

    @override
    def write(self, parts: Sequence[bytes], *, last: bool = False) -> None: ...

    @property
    @override
    def blocked(self) -> bool:
        return True

    @property
    @override
    def pending(self) -> int:
        return self._left.pop(0)

    @override
    async def drained(self) -> bool:
        if self._left:
            await asyncio.Event().wait()
        return True


@pytest.mark.parametrize(
    ("pending", "end"),
    [
        ((9, 8, 8, 7, 7), "flushed"),  # two looks in each period: at its beginning and end
        ((9, 9, 9), "stalled"),
        ((9, 8, 8, 8, 8), "stalled"),
    ],
)
async def test_a_client_that_takes_a_little_is_not_stalled(
    pending: tuple[int, ...], end: str
) -> None:
    journal = MemoryJournal(
        Grant(bytes(16), 1, "t"), Idle(), window=INITIAL_WINDOW, limits=Limits(), upload=False
    )
    journal.serve(200, (), b"body")
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    forwarder = Forwarder(
        journal,
        SlowSink(pending),
        Totals(),
        write_stall=0.01,
        on_flushed=lambda: ended.set_result("flushed"),
        on_stalled=lambda: ended.set_result("stalled"),
    )
    forwarder.move()
    assert await asyncio.wait_for(ended, PATIENCE) == end
    forwarder.close()
