"""What becomes of ends that wait for no answer (`protocol/SPEC.md`, section 6): seen where both ends decide."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from weakref import WeakSet

from gateway.exchange.run import ExchangeRun
from lambda_client.connection import Connection
from protocol.connection import FunctionConnection
from protocol.frames import End, EndFlag
from protocol.function_stream import FunctionStream
from protocol.gateway_stream import GatewayStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.exchange.invocation import Outcome
    from protocol.frames import Frame, StreamFrame
    from protocol.receipt import Receipt

Seen = tuple[str, str]

PARTINGS: frozenset[Seen] = frozenset(
    {
        ("function", "parts and asks for no answer"),
        ("function", "parts while an answer is due"),
        ("end", "comes before its receipt"),
        ("end", "comes behind its receipt"),
        ("end", "comes when nobody wants it"),
        ("receipt", "overtakes the callback"),
        ("receipt", "comes between two frames"),
        ("receipt", "comes behind its end"),
        ("receipt", "comes after the callback was lost"),
        ("invoke", "fails behind the end"),
        ("invoke", "is lost behind the end"),
        ("left over", "is read before the next stream"),
        ("left over", "never comes"),
        ("left over", "comes to the next stream"),
        ("left over", "comes while it is parked"),
    }
)
"""Each of them comes within a batch of some thousand."""


@contextmanager
def noting(seen: set[Seen]) -> Iterator[None]:
    """Within the block whatever comes of `PARTINGS` is added to `seen`."""
    parted: WeakSet[GatewayStream] = WeakSet()
    with ExitStack() as stack:
        for wrapped in (_parts(seen), _left_over(seen), _late(seen)):
            stack.enter_context(wrapped)
        for wrapped in (_ends(seen, parted), _receipts(seen), _outcomes(seen, parted)):
            stack.enter_context(wrapped)
        yield


def _parts(seen: set[Seen]) -> Any:
    original = FunctionStream.part

    def part(self: FunctionStream, frames: list[Frame], *, silently: bool) -> bool:
        left = original(self, frames, silently=silently)
        if left:
            how = "while an answer is due" if self.answer_due else "and asks for no answer"
            seen.add(("function", f"parts {how}"))
        return left

    return patch.object(FunctionStream, "part", part)


def _left_over(seen: set[Seen]) -> Any:
    original = Connection.catch_up

    def catch_up(self: Connection) -> bool:
        caught_up = original(self)
        if caught_up:
            seen.add(("left over", "is read before the next stream"))
        elif not self.closed and not self.state.reusable:
            seen.add(("left over", "never comes"))
        return caught_up

    return patch.object(Connection, "catch_up", catch_up)


def _late(seen: set[Seen]) -> Any:
    original = FunctionConnection.receive

    def receive(self: FunctionConnection, frame: Frame, now: float) -> StreamFrame | None:
        before = self.dropped
        wanted = original(self, frame, now)
        if self.dropped > before:
            when = "while it is parked" if self.active is None else "to the next stream"
            seen.add(("left over", f"comes {when}"))
        return wanted

    return patch.object(FunctionConnection, "receive", receive)


def _ends(seen: set[Seen], parted: WeakSet[GatewayStream]) -> Any:
    original = GatewayStream.receive

    def receive(self: GatewayStream, connection: Any, frame: StreamFrame, now: float) -> Any:
        if isinstance(frame, End) and frame.flags & EndFlag.PARTING and self.bound is connection:
            parted.add(self)
            behind = "comes behind its receipt" if self.ended else "comes before its receipt"
            unwanted = self.cancelled is not None
            seen.add(("end", "comes when nobody wants it" if unwanted else behind))
        return original(self, connection, frame, now)

    return patch.object(GatewayStream, "receive", receive)


def _receipts(seen: set[Seen]) -> Any:
    original = GatewayStream.apply_receipt

    def apply_receipt(self: GatewayStream, receipt: Receipt) -> Any:
        if not self.pair[0]:
            seen.add(("receipt", "overtakes the callback"))
        elif self.bound is None:
            seen.add(("receipt", "comes after the callback was lost"))
        else:
            seen.add(("receipt", "comes between two frames"))
        return original(self, receipt)

    return patch.object(GatewayStream, "apply_receipt", apply_receipt)


def _outcomes(seen: set[Seen], parted: WeakSet[GatewayStream]) -> Any:
    original = ExchangeRun.take_outcome

    def take_outcome(self: ExchangeRun, outcome: Outcome) -> None:
        if self.journal._stream in parted:
            if outcome.failure is not None:
                seen.add(("invoke", "fails behind the end"))
            elif outcome.confirms:
                seen.add(("receipt", "comes behind its end"))
            else:
                seen.add(("invoke", "is lost behind the end"))
        original(self, outcome)

    return patch.object(ExchangeRun, "take_outcome", take_outcome)
