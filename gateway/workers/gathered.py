"""What operators ask of all workers: their numbers side by side, their exchanges in one list.

Numbers keep a label for the worker that counted them. Were they added up here, a worker that starts again
from zero would make every sum fall, and Prometheus would take that for a restart of the whole.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from prometheus_client.metrics_core import Metric

from gateway.telemetry.catalogue import SERVING, STARTS
from gateway.telemetry.families import plain
from gateway.telemetry.text import render
from gateway.workers.process import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.workers.channel import What
    from gateway.workers.keeper import Keeper

    FamilyTold = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]


class Gathered:
    """Asks every worker (a `gateway.admin.application.Source`).

    Args:
        keepers: of the workers, in their order.
    """

    def __init__(self, keepers: Sequence[Keeper]) -> None:
        self._keepers = keepers

    async def troubles(self) -> list[str]:
        """Return a line for each worker that is down or does not answer."""
        answers = await self._ask("ready")
        return [
            f"worker {keeper.number} {keeper.trouble}"
            for keeper in self._keepers
            if keeper.number not in answers
        ]

    async def ready(self) -> bool:
        """Tell whether any worker takes requests: the kernel sends them to those that do."""
        asking = [asyncio.create_task(_ask_one(keeper, "ready")) for keeper in self._keepers]
        try:
            for answer in asyncio.as_completed(asking):  # one that is stuck is not waited for
                if await answer:
                    return True
            return False
        finally:
            for task in asking:
                task.cancel()

    async def metrics(self) -> bytes:
        """Return every number of every worker, labelled, and how they fare."""
        told = await self._ask("metrics")
        keepers = {(str(one.number),): one for one in self._keepers}
        serving = plain(SERVING, {key: int(one.number in told) for key, one in keepers.items()})
        starts = plain(STARTS, {key: one.starts for key, one in keepers.items()})
        return await asyncio.to_thread(render, [serving, starts, *merge(told)])

    async def exchanges(self) -> list[dict[str, Any]]:
        """Return those of all, each with its worker."""
        lists = await self._ask("exchanges")
        return [{**one, "worker": number} for number, found in lists.items() for one in found]

    async def _ask(self, what: What) -> dict[int, Any]:
        """Return the answers by worker; those that do not answer are left out."""
        answers = await asyncio.gather(*(_ask_one(keeper, what) for keeper in self._keepers))
        return {
            keeper.number: answer
            for keeper, answer in zip(self._keepers, answers, strict=True)
            if answer is not None
        }


async def _ask_one(keeper: Keeper, what: What) -> Any:
    try:
        return await keeper.ask(what)
    except NoAnswer:
        return None


def merge(told: Mapping[int, list[FamilyTold]]) -> list[Metric]:
    """Put the numbers of several workers into one set of families.

    Args:
        told: by worker, for each family: name, help, kind, and samples of name, labels and value.
    """
    families: dict[str, Metric] = {}
    for number, found in told.items():
        for name, text, kind, samples in found:
            family = families.setdefault(name, Metric(name, text, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, {"worker": str(number), **labels}, value)
    return list(families.values())
