"""The commands behind the figures, small: what must be true of every run, and nothing of time."""

from __future__ import annotations

import pytest

from tests.soak.figures import cancel, cuts, endings, send, silent, slow, stale, unaware, upload

MIB = 1 << 20


async def test_a_download_that_is_cut_again_and_again_is_whole() -> None:
    found = await cuts.run(total=24 * MIB, cuts=4, streams=2)
    assert (found.streams, found.equal) == (2, 2)
    assert found.landed == len(found.attached) == 8


async def test_every_handler_whose_client_was_killed_is_told_and_runs_its_finally() -> None:
    found = await cancel.run(times=16)
    assert (found.killed, found.finallies) == (16, 16)
    assert {kind: len(times) for kind, times in found.told.items()} == dict.fromkeys(
        cancel.KINDS, 4
    )


@pytest.mark.timeout(180)  # fifteen seconds of work and of deadlines, if nothing else runs
async def test_no_fault_behind_the_head_makes_a_clean_end() -> None:
    found = await endings.run(faults=90, gateways=1, cuts=1)
    assert found.faults >= 90
    assert not found.false, found.lines
    assert not found.wrong, found.lines
    assert not found.hung, found.lines
    # Half of what was cut for good could be finished, and came whole by the receipt.
    assert set(found.whole) == {"cut-for-good"}
    assert len(found.broken) > 20


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
async def test_a_slow_reader_costs_the_gateway_little(many: bool) -> None:
    if many:
        found, streams = await slow.run_many(readers=8, seconds=2), 8
    else:
        found, streams = await slow.run_one(seconds=2), 1
    assert len(found.taken) == streams
    assert not found.broken
    assert found.growth < streams * slow.ONE_MAX


async def test_an_upload_comes_back_while_it_is_sent_and_costs_little() -> None:
    total = 64 * MIB
    found = await upload.run(total=total)
    assert found.got == found.sent
    assert found.ahead > total // 2
    assert max(found.gateway, found.function) < upload.GROWTH_MAX


async def test_an_unaware_function_is_called_as_often_either_way() -> None:
    found = await unaware.run(rounds=20)
    assert len(found.direct) == len(found.through) == 20
    assert min(found.through) > 0


async def test_a_connection_that_died_in_silence_is_no_hindrance() -> None:
    found = await stale.run(rounds=2)
    assert found.right == found.asked == 7
    assert len(found.stale) == len(found.fresh) == 2


async def test_what_is_sent_leaves_before_the_next_is_made() -> None:
    found = await send.run(rounds=3)
    assert len(found.left) == len(found.arrived) == 3
    assert all(left > 0 for left in found.left)


async def test_a_function_that_cannot_dial_is_not_called_in_vain_for_long() -> None:
    found = await silent.run(requests=300)
    assert sum(found.answers.values()) == 300
    assert 0 < found.invocations < 100
    assert (found.twice, found.attached) == (0, 0)
    assert found.openings >= 1
    assert found.answers[503] > 200
