"""One worker's place: kept filled, with real processes."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import select
import signal
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from gateway.address import Address
from gateway.config import GatewaySettings
from gateway.errors import ConfigError
from gateway.routes import RouteTable
from gateway.serving import Stop
from gateway.sockets import address_of, hold
from gateway.workers import channel
from gateway.workers import keeper as keeper_module
from gateway.workers import process as process_module
from gateway.workers.assignment import Assignment
from gateway.workers.keeper import Keeper, StartFailed
from gateway.workers.process import NoAnswer
from tests.gateway.exchange.asking import eventually
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANY = Address("127.0.0.1", 0)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers may be slow to answer; and who waits until that time is over waits for too long."""
    monkeypatch.setattr(process_module, "ANSWER_SECONDS", 2 * PATIENCE)


@pytest.fixture
def assignment() -> Iterator[Assignment]:
    with hold("edge", ANY, "") as edge, hold("callback", ANY, "") as callback:
        settings = GatewaySettings(workers=2)
        yield Assignment(
            1, settings, RouteTable(), address_of(edge), address_of(callback), key=bytes(32)
        )


async def pid_of(keeper: Keeper, not_this: int = 0) -> int:
    """The process that serves now."""

    def serving() -> bool:
        process = keeper._process
        return process is not None and process.pid != not_this and process.listening.is_set()

    await eventually(serving)
    assert keeper._process is not None
    return keeper._process.pid


async def test_a_worker_that_dies_again_and_again_is_started_later_each_time(
    assignment: Assignment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper_module, "PAUSE_MAX", 0.15)
    stop = Stop()
    keeper = Keeper(assignment, stop)
    keeping = asyncio.create_task(keeper.keep())
    pid = 0
    for _ in range(3):
        pid = await pid_of(keeper, not_this=pid)
        os.kill(pid, signal.SIGKILL)
    pid = await pid_of(keeper, not_this=pid)
    stop.told()
    keeper.stop(at_once=False)
    assert await keeping == 0
    said = "\n".join(record.message for record in caplog.records)
    pauses = [float(text) for text in re.findall(r"SIGKILL; starting it again in (\S+) s", said)]
    assert pauses == [0.1, 0.15, 0.15]
    assert keeper.starts == 4


async def test_a_worker_that_lived_for_long_is_started_again_at_once(
    assignment: Assignment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper_module, "STEADY", 0.0)
    stop = Stop()
    keeper = Keeper(assignment, stop)
    keeping = asyncio.create_task(keeper.keep())
    pid = await pid_of(keeper)
    for _ in range(2):
        os.kill(pid, signal.SIGKILL)
        pid = await pid_of(keeper, not_this=pid)
    stop.told()
    keeper.stop(at_once=False)
    assert await keeping == 0
    assert sum("starting it again in 0.1 s" in record.message for record in caplog.records) == 2


async def test_one_that_cannot_work_with_its_settings_says_why_and_is_not_started_again(
    assignment: Assignment, tmp_path: Path
) -> None:
    settings = replace(assignment.settings, token_keys=(tmp_path / "gone",))
    keeper = Keeper(replace(assignment, settings=settings), Stop())
    with pytest.raises(ConfigError, match=r"gateway\.token_keys: .*gone: .*No such file"):
        await keeper.keep()
    assert keeper.starts == 1


async def test_one_that_ends_before_it_serves_is_not_started_again(
    assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper(assignment, Stop())
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no Python starts
    with pytest.raises(
        StartFailed, match=r"worker 1 \(process \d+\) ended with exit code 1: it never"
    ):
        await keeper.keep()
    assert keeper.starts == 1


async def test_nobody_answers_for_a_worker_that_is_not_there(assignment: Assignment) -> None:
    stop = Stop()
    keeper = Keeper(assignment, stop)
    with pytest.raises(NoAnswer):
        await keeper.ask("ready")
    keeping = asyncio.create_task(keeper.keep())
    pid = await pid_of(keeper)
    assert await keeper.ask("ready") is True
    os.kill(pid, signal.SIGSTOP)
    waiting = asyncio.create_task(keeper.ask("metrics"))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(NoAnswer):  # at once, and not when its time is over
        async with asyncio.timeout(PATIENCE):
            await waiting
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_a_stuck_worker_is_asked_so_often_and_no_more(
    assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper(assignment, Stop())
    keeping = asyncio.create_task(keeper.keep())
    pid = await pid_of(keeper)
    sent: list[channel.Message] = []
    pack = channel.pack

    def spied(message: channel.Message) -> bytes:
        sent.append(message)
        return pack(message)

    os.kill(pid, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(channel, "pack", spied)
        patch.setattr(process_module, "ANSWER_SECONDS", 0.01)
        for _ in range(2 * process_module.QUESTIONS_MAX):
            with pytest.raises(NoAnswer):
                await keeper.ask("ready")
    assert len(sent) == process_module.QUESTIONS_MAX
    waiting = asyncio.create_task(keeper.ask("ready"))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGCONT)
    assert await waiting is True
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_whoever_asks_may_leave_at_any_turn_of_the_loop(assignment: Assignment) -> None:
    keeper = Keeper(assignment, Stop())
    keeping = asyncio.create_task(keeper.keep())
    pid = await pid_of(keeper)
    assert keeper._process is not None
    ours = keeper._process._writer.get_extra_info("socket").fileno()
    for turns in range(8):
        asking = asyncio.create_task(keeper.ask("ready"))
        await asyncio.sleep(0)
        readable, _, _ = select.select([ours], [], [], PATIENCE)  # the answer is here, and unread
        assert readable
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert await keeper.ask("ready") is True
    assert await pid_of(keeper) == pid
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_a_stop_while_the_process_is_being_started_is_not_lost(
    assignment: Assignment, caplog: pytest.LogCaptureFixture
) -> None:
    stop = Stop()
    keeper = Keeper(assignment, stop)
    keeping = asyncio.create_task(keeper.keep())
    await asyncio.sleep(0)
    stop.told()
    keeper.stop(at_once=False)
    assert await keeping == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_one_that_talks_nonsense_is_killed(
    assignment: Assignment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = tmp_path / "worker"
    script.write_text("#!/bin/sh\nprintf '\\000\\000\\000\\001?' >&0\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(process_module, "sys", SimpleNamespace(executable=str(script)))
    with pytest.raises(StartFailed, match="was killed by SIGKILL: it never served"):
        await Keeper(assignment, Stop()).keep()
    assert "does not speak as a worker does" in caplog.text


async def test_one_that_is_told_nonsense_ends_and_is_started_again(
    assignment: Assignment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop = Stop()
    keeper = Keeper(assignment, stop)
    keeping = asyncio.create_task(keeper.keep())
    pid = await pid_of(keeper)
    with monkeypatch.context() as patch, pytest.raises(NoAnswer):
        patch.setattr(channel, "pack", lambda _: b"\0\0\0\1?")
        await keeper.ask("ready")
    await pid_of(keeper, not_this=pid)
    assert "ended with exit code 0; starting it again" in caplog.text
    stop.told()
    keeper.stop(at_once=False)
    assert await keeping == 0
