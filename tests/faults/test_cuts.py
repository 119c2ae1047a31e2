"""The callback is cut, in every state that a stream has, and the client never notices more than a pause."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from protocol.errors import ResetCode
from protocol.frames import Attach, Attached, Data, End, EndAck, Head, Reset
from tests.faults import wire
from tests.faults.functions import body_of, digest_of
from tests.faults.kinds import CLOSE, DOWN, FLIP, PAUSE, RESET, UP, Point
from tests.system.running import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.frames import Frame
    from tests.faults.browser import Browser
    from tests.faults.kinds import Direction, Fault
    from tests.faults.link import Link
    from tests.faults.stage import Stage

MIB = 1 << 20
SOON = 4.0
"""Seconds from a fault to the end of the response: a redial on loopback takes hundredths, its first pauses are
under 0.4 s; what could end a wait instead takes five."""


def kinds(link: Link, direction: Direction = UP) -> list[type[Frame]]:
    """The frames that came from the function (or went to it), by type."""
    return [type(frame) for frame in wire.frames(link.pipe(direction))]


def assert_whole(
    stage: Stage, browser: Browser, total: int, *, attaches: int, or_more: bool = False
) -> None:
    """The client has every byte once, and a clean end; the stream was attached so often.

    Or more often, where silence is found out: a machine that stalls for as long is taken for dead once more.
    """
    stage.assert_clean(browser)
    assert (len(browser.body), browser.digest) == (total, digest_of(total))
    stage.assert_over()
    assert stage.exchange["state"] == "completed"
    attached = stage.grown("dialback_attaches_total", result="accepted")
    assert attached == attaches or (or_more and attached > attaches)


@pytest.mark.fault(2)
def test_a_cut_between_upgrade_and_attach(stage: Stage) -> None:
    stage.proxy.plan(Point(DOWN, 0, RESET, upgraded=True))
    browser = stage.browse("stream", total=MIB)
    assert_whole(stage, browser, MIB, attaches=1)
    assert browser.ended - stage.proxy.faults[-1].at < SOON
    first, second = stage.links
    assert (first.down.upgrade, kinds(first, DOWN)) == (first.down.sent, [])
    assert kinds(second)[0] is Attach


@pytest.mark.fault(4)
def test_a_cut_between_attach_and_attached(stage: Stage) -> None:
    stage.proxy.plan(Point(DOWN, 0, PAUSE, upgraded=True))
    browser = stage.browse("stream", total=MIB, gates=1000)
    stage.at(1000, attached=False)
    first = stage.link(0)
    stage.proxy.wait(lambda: Attached in kinds(first, DOWN))  # recorded, and held
    assert stage.exchange["state"] == "streaming"
    assert stage.grown("dialback_attaches_total", result="accepted") == 1
    first.strike(RESET)
    stage.open(1000)
    assert_whole(stage, browser, MIB, attaches=2)
    second = wire.frames(stage.link(1).up)
    assert isinstance(second[0], Attach)
    assert second[0].epoch == 2
    assert isinstance(wire.frames(stage.link(1).down)[0], Attached)


@pytest.mark.fault(5)
def test_a_cut_between_head_and_data(stage: Stage) -> None:
    browser = stage.browse("stream", total=MIB, gates=0)
    browser.wait_head()
    stage.at(0)
    assert (stage.exchange["state"], stage.exchange["bytes"]) == ("streaming", 0)
    assert Head in kinds(stage.link(0))
    stage.proxy.strike(RESET)
    stage.proxy.wait(lambda: len(stage.links) == 2 and Attached in kinds(stage.links[1], DOWN))
    stage.open(0)
    assert_whole(stage, browser, MIB, attaches=2)
    again = kinds(stage.link(1))
    assert (again[0], Head in again) == (Attach, False)


@pytest.mark.fault(6)
@pytest.mark.parametrize("fault", [RESET, CLOSE], ids=lambda fault: fault.value)
@pytest.mark.parametrize("offset", [1, 1000, 70_001, 300_000, MIB + 1])
def test_a_cut_at_a_byte_of_the_body(stage: Stage, fault: Fault, offset: int) -> None:
    stage.proxy.plan(Point(UP, 200 + offset, fault, upgraded=True))
    total = 2 * MIB
    browser = stage.browse("stream", total=total)
    assert_whole(stage, browser, total, attaches=2)
    (cut,) = stage.proxy.faults[-1:]
    first = stage.link(0)
    assert cut.up == first.up.sent == (first.up.upgrade or 0) + 200 + offset
    assert browser.ended - cut.at < SOON


@pytest.mark.fault(6)
def test_cut_after_cut(stage: Stage) -> None:
    total, cuts = 16 * MIB, 12
    for number in range(cuts):
        stage.proxy.plan(Point(UP, 100_000 + 177_777 * number, RESET, upgraded=True))
    browser = stage.browse("stream", total=total)
    assert_whole(stage, browser, total, attaches=cuts + 1)
    assert [cut.connection - stage.before for cut in stage.proxy.faults[-cuts:]] == list(
        range(cuts)
    )


@pytest.mark.fault(7)
def test_a_cut_that_takes_the_end_along(stage: Stage) -> None:
    browser = stage.browse("stream", total=30_000, gates="end")
    browser.wait_bytes(30_000)
    stage.at("end")
    first = stage.link(0)
    first.strike(PAUSE, UP)
    stage.open("end")
    stage.proxy.wait(lambda: first.up.received > first.up.sent)
    stage.proxy.wait(lambda: End in kinds(first))  # recorded, and held
    assert (stage.exchange["state"], browser.ending) == ("streaming", "")
    first.strike(RESET)
    assert_whole(stage, browser, 30_000, attaches=2)
    assert End in kinds(stage.link(1))
    assert Data not in kinds(stage.link(1))


@pytest.mark.fault(8)
def test_a_cut_that_takes_the_end_ack_along(stage: Stage) -> None:
    browser = stage.browse("stream", total=100_000, gates="end")
    browser.wait_bytes(100_000)
    stage.at("end")
    first = stage.link(0)
    first.strike(PAUSE, DOWN)
    stage.open("end")
    stage.assert_clean(browser)
    stage.proxy.wait(lambda: EndAck in kinds(first, DOWN))  # recorded, and held
    assert stage.exchange["state"] == "completed"
    assert stage.grown("dialback_invokes_total") == 0  # it waits for the END_ACK
    first.strike(RESET)
    stage.assert_over()
    assert browser.digest == digest_of(100_000)
    assert kinds(stage.link(1))[0] is Attach


@pytest.mark.fault(9)
def test_a_callback_that_never_comes_back_leaves_the_tail_to_the_receipt(brief: Stage) -> None:
    stage = brief
    total = 300_000
    browser = stage.browse("stream", total=total, gates=100_000)
    browser.wait_bytes(100_000)
    stage.at(100_000)
    stage.proxy.refuse()
    stage.proxy.strike(RESET)
    stage.wait_state("detached")
    stage.open(100_000)
    stage.assert_clean(browser)
    assert stage.proxy.refused > 0
    assert (len(browser.body), browser.digest) == (total, digest_of(total))
    stage.assert_over()
    assert stage.grown("dialback_attaches_total", result="accepted") == 1
    assert stage.grown("dialback_invokes_total", result="receipt") == 1


@pytest.mark.fault(9)
def test_a_tail_that_fits_no_receipt_is_a_visible_break(brief: Stage) -> None:
    stage = brief
    browser = stage.browse("stream", total=8 * MIB, gates=100_000)
    browser.wait_bytes(100_000)
    stage.at(100_000)
    stage.proxy.refuse()
    stage.proxy.strike(RESET)
    stage.wait_state("detached")
    stage.open(100_000)
    assert browser.wait_end() == "broken"
    assert bytes(browser.body) == body_of(8 * MIB)[: len(browser.body)]
    stage.assert_over()
    assert stage.exchange["state"] == "failed"


def damage_one_byte(stage: Stage) -> Browser:
    """Let a function write a thousand bytes, one of which reaches the gateway with a bit flipped."""
    browser = stage.browse("stream", total=1000, gates="0,end")
    browser.wait_head()
    stage.at(0)
    link = stage.link(0)
    stage.proxy.wait(lambda: link.up.received == link.up.sent)
    link.plan(Point(UP, link.up.sent + 500, FLIP))  # one DATA is to come: some twenty bytes more
    stage.open(0)
    browser.wait_bytes(1000)
    assert stage.exchange["state"] == "streaming"
    assert stage.proxy.faults[-1].fault is FLIP
    assert bytes(browser.body) != body_of(1000)
    return browser


@pytest.mark.fault(53)
def test_a_flipped_bit_is_found_at_the_end(stage: Stage) -> None:
    browser = damage_one_byte(stage)
    stage.open("end")
    assert browser.wait_end() == "broken"
    assert stage.wait_state("failed")["bytes"] == 1000
    stage.assert_over()


@pytest.mark.fault(53)
def test_a_flipped_bit_is_found_at_a_resume(stage: Stage) -> None:
    browser = damage_one_byte(stage)
    stage.at("end")
    stage.link(0).strike(RESET)
    assert browser.wait_end() == "broken"
    resets = [one.code for one in wire.frames(stage.link(1).up) if isinstance(one, Reset)]
    assert resets == [ResetCode.DIVERGED]
    stage.open("end")
    stage.wait_state("failed")
    stage.assert_over()


@pytest.mark.fault(34)
def test_a_cut_between_two_parts_of_an_upload(stage: Stage) -> None:
    sent, first = body_of(12 * MIB), 5 * MIB

    def upload() -> Iterator[bytes]:
        yield sent[:first]
        eventually(lambda: stage.room.said("size") == str(first))
        stage.proxy.strike(RESET)
        yield sent[first:]

    browser = stage.browse("hash_upload", upload())
    assert_uploaded(stage, browser, sent)


@pytest.mark.fault(34)
@pytest.mark.parametrize(
    ("direction", "offset"),
    [
        (DOWN, 3 * MIB),
        (DOWN, 5 * MIB + 1),
        (DOWN, 8 * MIB + 77_777),
        (UP, 280),
        (UP, 300),
    ],
    ids=lambda value: getattr(value, "value", value),
)
def test_a_cut_in_the_middle_of_an_upload(stage: Stage, direction: Direction, offset: int) -> None:
    """DOWN is the body itself, UP what the function acknowledges, some MiB at a time."""
    stage.proxy.plan(Point(direction, offset, RESET, upgraded=True))
    sent = body_of(24 * MIB)
    browser = stage.browse("hash_upload", sent)
    assert_uploaded(stage, browser, sent)
    cut = stage.proxy.faults[-1]
    assert 0 < cut.down < len(sent)


def assert_uploaded(stage: Stage, browser: Browser, sent: bytes) -> None:
    """The function has read every byte once, in spite of one cut."""
    stage.assert_clean(browser)
    assert json.loads(browser.body) == [len(sent), hashlib.sha256(sent).hexdigest()]
    stage.assert_over()
    assert stage.grown("dialback_attaches_total", result="accepted") == 2
