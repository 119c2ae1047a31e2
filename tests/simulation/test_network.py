"""The simulated network keeps TCP's promises, and breaks them only when told to."""

from __future__ import annotations

import asyncio
import random
import select
from typing import TYPE_CHECKING

import pytest

from tests.simulation.loop import DeadlockError, OutOfTimeError
from tests.simulation.wire import Cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.pair import Pair

BODY = random.Random(1).randbytes(200_000)


@pytest.mark.parametrize("seed", range(20))
def test_bytes_arrive_in_order_whatever_their_pieces_and_then_the_end(
    seed: int, pairs: Callable[[int], Pair]
) -> None:
    pair = pairs(seed)
    near, far = pair.connect()
    for at in range(0, len(BODY), 7001):
        near.transport.write(BODY[at : at + 7001])
    near.transport.close()
    pair.until(lambda: far.end != "open")
    assert (bytes(far.data), far.eof, far.end, near.end) == (BODY, True, None, None)


def test_a_reader_that_pauses_stops_its_writer(pair: Pair) -> None:
    near, far = pair.connect()
    far.transport.pause_reading()
    pair.network.wires[0].client.user_timeout = 1e6
    for _ in range(10):
        near.transport.write(BODY)
    pair.scheduler.rest(50)
    assert near.pauses == 1
    held = near.transport.get_write_buffer_size()
    assert held + pair.network.wires[0].client.out.capacity == 10 * len(BODY)
    far.transport.resume_reading()
    pair.until(lambda: len(far.data) == 10 * len(BODY))


@pytest.mark.parametrize("after", [0, 1, 999, 100_000])
@pytest.mark.parametrize("how", ["reset", "hang_up", "black_hole"])
def test_a_cut_lets_exactly_so_many_bytes_through(
    how: str, after: int, pairs: Callable[[int], Pair]
) -> None:
    pair = pairs(3)
    near, far = pair.connect()
    pair.network.wires[0].cut(Cut(client=True, after=after, how=how))
    near.transport.write(BODY)
    pair.scheduler.rest(200)
    assert BODY[: len(far.data)] == far.data
    if how != "reset":  # which may take with it what nobody read
        assert len(far.data) == after
    ends: dict[str, type[object]] = {
        "reset": ConnectionResetError,
        "hang_up": type(None),
        "black_hole": TimeoutError,
    }
    assert isinstance(far.end, ends[how])


def test_a_black_hole_ends_by_the_kernels_timers(pair: Pair) -> None:
    near, far = pair.connect()
    pair.network.wires[0].black_hole()
    near.transport.write(b"into the void")
    begun = pair.scheduler.now
    pair.until(lambda: far.end != "open")
    assert pair.scheduler.now - begun == pytest.approx(90)
    pair.until(lambda: near.end != "open")
    assert pair.scheduler.now - begun == pytest.approx(924)


def test_a_peer_that_closed_resets_what_still_comes(pair: Pair) -> None:
    near, far = pair.connect()
    near.transport.pause_reading()
    far.transport.abort()
    pair.scheduler.rest(1)
    near.transport.write(b"anybody there?")
    pair.scheduler.rest(1)
    near.transport.write(b"?")
    pair.until(lambda: near.end != "open")
    assert isinstance(near.end, ConnectionResetError)


def test_a_frozen_machine_takes_nothing_and_thaws_where_it_stood(pair: Pair) -> None:
    near, far = pair.connect()
    late: list[float] = []
    pair.there.call_later(5, lambda: late.append(pair.scheduler.now))
    begun = pair.scheduler.now
    pair.network.freeze(pair.there)
    near.transport.write(b"good morning")
    pair.scheduler.rest(20)
    assert not far.data
    assert not late
    pair.network.thaw(pair.there)
    pair.until(lambda: bytes(far.data) == b"good morning")
    assert late == [pytest.approx(begun + 20)]


def test_a_dial_is_refused_or_never_answered(pair: Pair) -> None:
    pair.listener.refuse = ConnectionRefusedError()
    with pytest.raises(ConnectionRefusedError):
        pair.connect()
    pair.listener.refuse = "silent"
    with pytest.raises(DeadlockError):
        pair.connect()


def test_the_descriptor_of_a_connection_shows_what_waits_and_who_is_gone(pair: Pair) -> None:
    near, far = pair.connect()
    pair.network.freeze(pair.there)
    seen = far.transport.get_extra_info("socket")
    poll = select.poll()
    poll.register(seen.fileno(), select.POLLIN | select.POLLRDHUP)
    assert poll.poll(0) == []
    pair.network.thaw(pair.there)
    far.transport.pause_reading()
    near.transport.write(b"x")
    pair.scheduler.rest(1)
    assert poll.poll(0) == []
    assert seen.fileno() >= 0
    assert [event for _, event in poll.poll(0)] == [select.POLLIN]
    near.transport.close()
    pair.scheduler.rest(1)
    ((_, event),) = poll.poll(0)
    assert event & select.POLLRDHUP
    far.transport.abort()
    pair.scheduler.rest(1)
    assert seen.fileno() == -1


def test_what_never_happens_is_told_from_what_happens_too_late(pair: Pair) -> None:
    with pytest.raises(DeadlockError):
        pair.do(asyncio.Event().wait())
    pair.here.call_later(100, lambda: None)
    with pytest.raises(OutOfTimeError):
        pair.until(lambda: False, 50)
