"""Runs the floor until somebody ends it (see the package)."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from gateway.heap import calm_collector, keep_freed_pages
from tests.benchmarks.floor.gateway import Gateway


async def main(port: int, workers: int) -> None:
    keep_freed_pages()
    await Gateway().start(port, workers)
    calm_collector()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
