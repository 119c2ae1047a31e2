"""A real gateway with several workers, and how to see which one serves what."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.gateway.cli.test_drain import asking
from tests.system.running import Dialback, eventually, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import ExitStack

    from tests.gateway.cli.test_drain import Client

FUNCTIONS = Path(__file__).parents[1] / "cli" / "functions.py"
WORKERS = 2


@contextmanager
def workers(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Dialback]:
    """Run ``dialback serve --workers 2`` with a function that answers and one that streams."""
    config = folder / "dialback.toml"
    config.write_text(
        f"""
        [[routes]]
        path = "/"
        target = "local:{FUNCTIONS}:echo"
        concurrency = 4
        [[routes]]
        path = "/ticks"
        target = "local:{FUNCTIONS}:ticks"
        concurrency = 60
        env = {{ GATE = "{folder}/never" }}
        """
    )
    # Any free port for each callback listener: nobody else can have taken the one that follows.
    callback = {"DIALBACK_CALLBACK": "127.0.0.1:0"}
    with running_dialback(
        f"--config={config}", "--workers=2", command="serve", env={**callback, **(env or {})}
    ) as dialback:
        yield dialback


def processes(dialback: Dialback) -> dict[int, psutil.Process]:
    """The workers' processes, by number."""
    found = {}
    for child in psutil.Process(dialback.pid).children():
        number = re.search(r"-m gateway\.workers (\d+)$", " ".join(child.cmdline()))
        assert number is not None
        found[int(number[1])] = child
    return found


def active(dialback: Dialback) -> dict[str, dict[str, Any]]:
    """The exchanges that go on, by id."""
    ended = {"completed", "failed", "cancelled"}
    return {one["id"]: one for one in dialback.exchanges() if one["state"] not in ended}


def streams(stack: ExitStack, dialback: Dialback, path: str) -> dict[int, list[Client]]:
    """Begin streams until every worker has some; the clients by worker."""
    found: dict[int, list[Client]] = {}
    while len(found) < WORKERS:
        before = active(dialback)
        client = stack.enter_context(asking(dialback, path))
        assert client.clean is None
        (new,) = active(dialback).keys() - before.keys()
        found.setdefault(active(dialback)[new]["worker"], []).append(client)
    return found


def moving(client: Client) -> None:
    """Wait until the client has got more than it has now."""
    seen = len(client.lines)
    eventually(lambda: len(client.lines) > seen)
