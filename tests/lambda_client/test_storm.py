"""A real function under a storm of signals, stops and cuts: every chunk that was taken arrives, in order, once."""

from __future__ import annotations

import json
import random
import select
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.kinds import DOWN, RESET, UP
from tests.faults.proxy import running_proxy
from tests.lambda_client.gateway import Exchange, Gateway, receipt_of
from tests.lambda_client.storming import KINDS
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("parting")

CHUNKS = 250
"""Of one response; each is made of bytes that no other one has."""
ROUNDS = 6
"""Responses of one function: each but the first begins on a connection that was parked."""

TROUBLES = 60
"""In one response: three times what usually happens meanwhile. A machine on which coming back takes longer than the
time to the next cut gets through all the same."""

SPARE_DESCRIPTORS = 6
"""That a function may have more of in the end than after its first response: a connection being closed, one parked."""


@contextmanager
def function() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.lambda_client.storming"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def invoke(
    process: subprocess.Popen[str], exchange: Exchange, kind: str, seed: int, size: int
) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    envelope = exchange.envelope.to_json()
    asked = {"envelope": envelope, "kind": kind, "chunks": CHUNKS, "size": size, "seed": seed}
    print(json.dumps(asked), file=process.stdin, flush=True)
    assert select.select([process.stdout], [], [], PATIENCE)[0], f"seed {seed}: it hangs"
    return json.loads(process.stdout.readline())


def check(told: Any, exchange: Exchange, size: int) -> None:
    """Every write that returned is there whole, every other one wholly, in part or not at all; in order."""
    assert "receipt" in told, told
    receipt, rest = receipt_of(told["receipt"]), exchange.body
    assert receipt.status == "end"
    if receipt.tail is not None:
        rest = rest[: receipt.tail[0]] + receipt.tail[1]
    assert len(rest) == receipt.final
    for number, returned in enumerate(told["written"]):
        letter = bytes((number,))
        there = min(size, len(rest) - len(rest.lstrip(letter)))
        assert there == size or not returned, f"chunk {number} has {there} bytes"
        rest = rest[there:]
    assert not rest


@contextmanager
def trouble(chance: random.Random, make: Callable[[random.Random], None]) -> Iterator[None]:
    """Within the block, something happens every few milliseconds."""
    over = threading.Event()

    def run() -> None:
        for _ in range(TROUBLES):
            if over.wait(chance.random() * 0.05):
                return
            make(chance)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "window"), [(40, 262_144), (700, 4096)])
def test_signals_at_random_moments(gateway: Gateway, size: int, window: int, kind: str) -> None:
    descriptors: list[int] = []
    signals = 0
    with function() as process:
        for seed in range(ROUNDS):
            exchange = gateway.exchange(window=window)
            told = invoke(process, exchange, kind, seed, size)
            check(told, exchange, size)
            descriptors.append(told["descriptors"])
            signals += told["signals"]
    assert signals > ROUNDS
    assert descriptors[-1] <= descriptors[0] + SPARE_DESCRIPTORS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "window"), [(40, 262_144), (700, 4096)])
def test_signals_stops_and_cuts_at_random_moments(
    gateway: Gateway, size: int, window: int, kind: str
) -> None:
    descriptors: list[int] = []
    chance = random.Random(size)
    with running_proxy(("127.0.0.1", gateway.port)) as proxy, function() as process:

        def disturb(chance: random.Random) -> None:
            if chance.random() < 0.3:
                proxy.strike(RESET, chance.choice((UP, DOWN)))
                return
            process.send_signal(signal.SIGSTOP)
            threading.Event().wait(chance.random() * 0.02)
            process.send_signal(signal.SIGCONT)

        for seed in range(ROUNDS // 2):
            exchange = gateway.exchange(window=window, urls=(proxy.url,))
            with trouble(chance, disturb):
                told = invoke(process, exchange, kind, seed, size)
            check(told, exchange, size)
            descriptors.append(told["descriptors"])
    assert descriptors[-1] <= descriptors[0] + SPARE_DESCRIPTORS
