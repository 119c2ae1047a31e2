"""A journal whose function sends a body in crumbs."""

from __future__ import annotations

import tracemalloc

from gateway.journal.memory import PIECES_MAX, MemoryJournal
from gateway.tokens import Grant
from protocol.frames import Attach, AttachFlag, Data, Head
from protocol.limits import INITIAL_WINDOW, Limits
from tests.gateway.journal.idle import Idle

XID = bytes(16)


def opened(writer: Idle) -> MemoryJournal:
    """A journal with a callback that sent its head, and a reader that takes nothing."""
    journal = MemoryJournal(
        Grant(XID, 1, "token"), Idle(), window=INITIAL_WINDOW, limits=Limits(), upload=False
    )
    flags = AttachFlag.FRESH
    journal.attach(Attach(1, XID, 1, 1, "token", XID, 0, 0, flags, 0, 0), writer, 0.0)
    journal.receive(Head(1, 200, ()), writer, 0.0)
    return journal


def test_a_body_of_crumbs_takes_little_more_than_its_bytes() -> None:
    writer = Idle()
    journal = opened(writer)
    crumbs = [b"%06x" % number for number in range(INITIAL_WINDOW // 6)]
    tracemalloc.start()
    try:
        for number, crumb in enumerate(crumbs):
            journal.receive(Data(1, 6 * number, bytes(bytearray(crumb))), writer, 0.0)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1.5 * INITIAL_WINDOW
    parts = journal.read_body()
    assert len(parts) <= PIECES_MAX
    assert b"".join(parts) == b"".join(crumbs)


def test_large_pieces_are_not_copied() -> None:
    writer = Idle()
    journal = opened(writer)
    large = bytes(INITIAL_WINDOW // 2)
    journal.receive(Data(1, 0, large), writer, 0.0)
    for number in range(PIECES_MAX + 1):
        journal.receive(Data(1, len(large) + number, b"x"), writer, 0.0)
    assert journal.read_body()[0] is large
