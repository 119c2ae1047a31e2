"""One invocation that runs twice: the network's, or the platform's, own retry."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from protocol.errors import RejectCode
from protocol.frames import Reject
from tests.faults import wire
from tests.faults.behind import dialback_behind_proxy
from tests.faults.functions import body_of
from tests.faults.lent import FUNCTION_SECONDS, LEND, answer_for, real_function
from tests.faults.stage import TIMERS, Stage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.fault(44)
async def test_the_second_copy_of_an_invocation_is_refused(tmp_path: Path) -> None:
    first_room, second_room = tmp_path / "first", tmp_path / "second"
    first_room.mkdir()
    second_room.mkdir()
    total = 200_000
    async with real_function() as function:
        with (
            dialback_behind_proxy(LEND, f"--timeout={FUNCTION_SECONDS}", env=TIMERS) as both,
            closing(Stage(*both, first_room)) as stage,
        ):
            browser = stage.browse("stream")
            first = asyncio.create_task(answer_for(function, stage, total=total, gates=1000))
            await asyncio.to_thread(stage.at, 1000)
            await asyncio.to_thread(browser.wait_bytes, 1000)

            again = await answer_for(function, stage, room=second_room, total=total + 1)
            refused = [one for one in wire.frames(stage.link(1).down) if isinstance(one, Reject)]
            assert [one.code for one in refused] == [RejectCode.BAD_TOKEN]
            # Refused while it writes, it has lost its response; else it gives all of it back.
            assert again["status"] == "lost" or again["tail"]["offset"] == 0

            stage.open(1000)
            assert (await first)["status"] == "end"
            assert await asyncio.to_thread(browser.wait_end) == "clean"
            assert bytes(browser.body) == body_of(total)
            stage.open("lent")
            await asyncio.to_thread(stage.assert_over, more=2)
