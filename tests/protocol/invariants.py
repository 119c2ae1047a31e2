"""The invariants of the protocol, each with its number, held against a `World` between any two steps.

What only shows in the moment of a step is asserted where the step is made, in `wires` and `exchanges`: I1 (a hole in
what is handed on), I5 (a frame of a fenced connection), I6 (an END_ACK leaves), I9 (messages).
I4, I7, I11 and I12 speak of the HTTP side: of I4 and I12 the part that is the stream's is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import RejectCode
from protocol.frames import Data, End, Head, Reset
from tests.protocol.exchanges import FRAME, WINDOW, Copy, Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.receiver import Receiver
    from protocol.sender import Sender
    from tests.protocol.world import World

#: What MAX_WINDOW is made for these worlds, so that windows reach it.
MAX_WINDOW = 4 * WINDOW
#: What may be unacknowledged where a function waits for no END_ACK: three frames.
PARTING = 48
#: Up to where neighbours in flight are joined: two frames and a half, so that an offset may lie within.
JOIN = 40

_UNWANTED = (RejectCode.TERMINAL, RejectCode.CANCELLED)


class History:
    """What may only rise, as it was after the step before."""

    def __init__(self) -> None:
        self._before: dict[object, tuple[int, ...]] = {}

    def rises(self, key: object, *values: int) -> bool:
        """Whether no value fell since the last call."""
        before = self._before.get(key, values)
        self._before[key] = values
        return all(new >= old for new, old in zip(values, before, strict=True))

    def pair_rises(self, exchange: Exchange) -> bool:
        """Whether the accepted pair is the old one or greater."""
        before = self._before.get(("pair", exchange.number), (0, 0))
        self._before["pair", exchange.number] = exchange.gateway.pair
        return exchange.gateway.pair >= before


def i1_the_client_gets_a_prefix_of_what_one_function_wrote(world: World, _: History) -> None:
    for exchange in world.exchanges:
        received = bytes(exchange.received)
        head = next((r for r in exchange.records if isinstance(r, Head)), None)
        falsified = "falsified" in exchange.excuses and not exchange.gateway.ended
        if falsified or (head is None and not received):
            continue
        assert head is not None, "a body without a head"
        writers = [copy for copy in exchange.copies if copy.owns(head)]
        assert any(copy.body[: copy.written].startswith(received) for copy in writers)
        if exchange.gateway.ended and exchange.gateway.cancelled is None:
            assert any(copy.body[: copy.written] == received for copy in writers)


def i1_the_function_reads_a_prefix_of_the_request_body(world: World, _: History) -> None:
    for copy in world.copies:
        if "falsified" not in copy.exchange.excuses:
            upload = copy.exchange.upload or b""
            assert upload[: copy.exchange.uploaded].startswith(copy.read)


def i2_offsets_keep_their_order_and_never_fall(world: World, history: History) -> None:
    for exchange in world.exchanges:
        stream = exchange.gateway
        body = stream._response.body
        assert body.consumed <= body.position <= body.maximum
        assert history.rises(exchange.number, body.position, body.consumed, body.maximum)
        honest = not exchange.excuses
        for copy in exchange.copies:
            sender, reader = copy.stream._response.body, copy.stream._upload.body
            assert sender.acked <= sender.sent <= sender.written
            assert sender.sent <= sender.maximum
            assert reader.consumed <= reader.position <= reader.maximum
            assert history.rises(copy.name, sender.acked, sender.maximum, reader.position)
            if honest:
                _i2_between_the_ends(sender, body)
                if stream._upload is not None:
                    _i2_between_the_ends(stream._upload.body, reader)


def _i2_between_the_ends(sender: Sender, receiver: Receiver) -> None:
    assert sender.acked <= receiver.consumed
    stated = receiver.consumed + receiver.window  # by an ATTACH that is not answered yet
    assert sender.maximum <= max(receiver.maximum, stated)


def i3_what_is_buffered_or_retained_fits_a_window(world: World, _: History) -> None:
    for exchange in world.exchanges:
        body = exchange.gateway._response.body
        by_receipt = exchange.receipt_taken
        assert body.position - body.consumed <= body.window <= MAX_WINDOW or by_receipt
        if exchange.gateway._upload is not None:
            _i3_retained(exchange.gateway._upload.body)
        for copy in exchange.copies:
            reader = copy.stream._upload.body
            assert reader.position - reader.consumed <= reader.window <= MAX_WINDOW
            if not copy.undialled:
                _i3_retained(copy.stream._response.body)


def _i3_retained(sender: Sender) -> None:
    kept = sum(len(data) for _, _, data in sender._in_flight) + sum(map(len, sender._waiting))
    assert kept - max(FRAME, JOIN) < sender.written - sender.acked <= MAX_WINDOW


def i4_an_exchange_ends_once(world: World, _: History) -> None:
    for exchange in world.exchanges:
        ends = [at for at, r in enumerate(exchange.records) if isinstance(r, End | Reset)]
        assert len(ends) <= 1
        assert not ends or ends[0] == len(exchange.records) - 1, "something follows the end"
        assert not (exchange.gateway.ended and exchange.gateway.failed and not exchange.excuses)


def i5_one_connection_is_bound_and_pairs_rise(world: World, history: History) -> None:
    for exchange in world.exchanges:
        assert history.pair_rises(exchange)
        bound = [wire for wire in world.wires if exchange.gateway.bound is wire]
        assert len(bound) == (exchange.gateway.bound is not None)
        assert all(wire.gateway_open for wire in bound), "a closed connection is bound"


def i6_a_function_says_end_only_when_all_is_held_or_in_the_receipt(
    world: World, _: History
) -> None:
    for copy in world.copies:
        stream, gateway = copy.stream, copy.exchange.gateway
        if stream.end_acknowledged:
            assert gateway.ended
            assert gateway.position == copy.written
        if copy.receipt is not None and copy.receipt.status == "end":
            assert stream.end_acknowledged or _unwanted(copy) or _in_the_receipt(copy)


def _unwanted(copy: Copy) -> bool:
    rejected = copy.stream.rejected
    return rejected is not None and rejected.code in _UNWANTED


def _in_the_receipt(copy: Copy) -> bool:
    assert copy.receipt is not None
    if copy.receipt.tail is None:
        return False
    offset, data = copy.receipt.tail
    return copy.body[: copy.written] == copy.body[:offset] + data


def i9_no_frame_is_longer_than_agreed(world: World, _: History) -> None:
    for exchange in world.exchanges:
        by_receipt = exchange.receipt_taken
        sizes = [len(r.data) for r in exchange.records if isinstance(r, Data)]
        assert by_receipt or max(sizes, default=0) <= FRAME


def i12_one_checked_head_and_before_everything_else(world: World, _: History) -> None:
    for exchange in world.exchanges:
        heads = [at for at, r in enumerate(exchange.records) if isinstance(r, Head)]
        assert len(heads) <= 1
        bodies = any(isinstance(record, Data | End) for record in exchange.records)
        assert heads == [0] or not bodies


INVARIANTS: tuple[Callable[[World, History], None], ...] = (
    i1_the_client_gets_a_prefix_of_what_one_function_wrote,
    i1_the_function_reads_a_prefix_of_the_request_body,
    i2_offsets_keep_their_order_and_never_fall,
    i3_what_is_buffered_or_retained_fits_a_window,
    i4_an_exchange_ends_once,
    i5_one_connection_is_bound_and_pairs_rise,
    i6_a_function_says_end_only_when_all_is_held_or_in_the_receipt,
    i9_no_frame_is_longer_than_agreed,
    i12_one_checked_head_and_before_everything_else,
)


def i8_without_more_faults_everything_comes_to_an_end(world: World) -> None:
    world.settle()
    for exchange in world.exchanges:
        main = exchange.main
        if exchange.excuses:
            continue
        assert exchange.outcome == "ended"
        assert bytes(exchange.received) == main.body[: main.written]
        whole = main.ended_early or main.read == (exchange.upload or b"")
        assert whole, "the request body did not come whole"


def i10_nothing_is_left_behind(world: World) -> None:
    for exchange in world.exchanges:
        exchange.bury()
        assert exchange.gateway.next_deadline() is None
        assert exchange.gateway._upload is None
        assert all(copy.stream.next_deadline() is None for copy in exchange.copies)
