"""What operators ask of all workers: their numbers side by side, their exchanges in one list.

Numbers keep a label for the worker that counted them. Were they added up here, a worker that starts again
from zero would make every sum fall, and Prometheus would take that for a restart of the whole.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from typing_extensions import override

from gateway.telemetry.catalogue import SERVING, STARTS
from gateway.telemetry.families import plain
from gateway.workers.process import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from gateway.workers.channel import What
    from gateway.workers.keeper import Keeper


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
        texts = await self._ask("metrics")
        registry = CollectorRegistry()
        registry.register(_Merged(texts, self._keepers))
        return generate_latest(registry)

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


class _Merged(Collector):
    def __init__(self, texts: Mapping[int, str], keepers: Sequence[Keeper]) -> None:
        self._texts = texts
        self._keepers = keepers

    @override
    def collect(self) -> Iterator[Metric]:
        keepers = {str(keeper.number): keeper for keeper in self._keepers}
        yield plain(SERVING, {(n,): int(one.number in self._texts) for n, one in keepers.items()})
        yield plain(STARTS, {(n,): one.starts for n, one in keepers.items()})
        yield from merge(self._texts).values()


def merge(texts: Mapping[int, str]) -> dict[str, Metric]:
    """Put the numbers of several workers into one set of families.

    Args:
        texts: what each worker renders, by its number.
    """
    families: dict[str, Metric] = {}
    for number, text in texts.items():
        for family in text_string_to_metric_families(text):
            samples = [
                sample._replace(labels={"worker": str(number), **sample.labels})
                for sample in family.samples
            ]
            families.setdefault(family.name, family)
            if families[family.name] is family:
                family.samples = samples
            else:
                families[family.name].samples += samples
    return families
