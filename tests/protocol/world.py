"""Several exchanges and several connections at a time, for whoever wants to do them harm.

Where `link.Session` goes its own way, nothing moves here unless it is told to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import CancelCode, RemoteProtocolError, ResetCode
from protocol.function_stream import FunctionState
from tests.protocol.exchanges import BODY, UPLOAD, Exchange
from tests.protocol.wires import Wire

if TYPE_CHECKING:
    from tests.protocol.exchanges import Copy

#: Nobody needs more rounds of `World.settle`: a window of 64 carries 400 bytes in 13.
ROUNDS = 60
#: After so many a spoilt exchange and its copies run into their timeouts.
PATIENCE = 40


class World:
    """Everything there is."""

    def __init__(self) -> None:
        self.now = 0.0
        self.frozen = False
        self.wires: list[Wire] = []
        self.exchanges: list[Exchange] = []
        self._sid = 0

    def next_sid(self) -> int:
        """Stream ids rise in the whole process, so that no two connections share one."""
        self._sid += 1
        return self._sid

    def find(self, xid: bytes) -> Exchange:
        """The exchange of this id."""
        return self.exchanges[int.from_bytes(xid, "big")]

    def open(self, *, upload: bool, inv: int) -> Exchange:
        """Begin an exchange."""
        exchange = Exchange(len(self.exchanges), upload=upload, inv=inv)
        self.exchanges.append(exchange)
        return exchange

    def dial(self) -> Wire:
        """Open a connection."""
        wire = Wire(self)
        self.wires.append(wire)
        return wire

    @property
    def copies(self) -> list[Copy]:
        """Every invocation that ever was."""
        return [copy for exchange in self.exchanges for copy in exchange.copies]

    def snapshot(self, exchange: Exchange) -> tuple[object, ...]:
        """What a frame of a fenced connection must not change."""
        stream = exchange.gateway
        body = stream._response.body
        upload = None if stream._upload is None else stream._upload.body
        return (
            (stream.bound, stream.pair, stream.terminal, stream.failed, stream.head, stream.over),
            (body.position, body.consumed, body.maximum, body.crc, body.final),
            upload and (upload.sent, upload.acked, upload.maximum, upload.written),
        )

    def move(self, rounds: int = 1) -> int:
        """Everybody who can speaks, and everything arrives; returns how many messages did."""
        moved = 0
        for _ in range(rounds):
            for wire in list(self.wires):
                if not self.frozen:
                    wire.function_speaks()
                moved += wire.gateway_takes(100)
                wire.gateway_speaks()
                moved += 0 if self.frozen else wire.function_takes(100)
        return moved

    def pass_time(self, seconds: float) -> None:
        """Let time pass; timers run, except on the frozen side."""
        self.now += seconds
        for wire in self.wires:
            if wire.gateway_open:
                try:
                    wire.gateway.handle_timer(self.now)
                except RemoteProtocolError:
                    wire.gateway_closes()
            if wire.function_open and not self.frozen:
                try:
                    wire.function.handle_timer(self.now)
                except RemoteProtocolError:
                    wire.function_closes()

    def thaw(self) -> None:
        """Go on after a freeze, and forget the silence meanwhile."""
        self.frozen = False
        for wire in self.wires:
            wire.function.rearm(self.now)

    # ------------------------------------------------------------------ no more faults

    def settle(self) -> None:
        """Repair everything, and let everybody do their part until all is over."""
        self.thaw()
        for wire in self.wires:
            if wire.dead or wire.muted or not (wire.function_open and wire.gateway_open):
                wire.dead = True
                wire.function_closes()
                wire.gateway_closes()
        for turn in range(ROUNDS):
            for copy in self.copies:
                self._let_act(copy, patient=turn < PATIENCE or not copy.exchange.excuses)
            self.move(3)
            for exchange in self.exchanges:
                if turn > PATIENCE and exchange.excuses and exchange.outcome is None:
                    exchange.gateway.cancel(CancelCode.TIMEOUT, "the route's")
                exchange.client_takes(BODY)
                exchange.client_uploads(UPLOAD)
                if exchange.main.receipt is not None and not exchange.receipt_taken:
                    exchange.take_receipt()
            self.pass_time(0.2)
            if all(exchange.over for exchange in self.exchanges):
                return
        left = [exchange.number for exchange in self.exchanges if not exchange.over]
        raise AssertionError(f"I8: exchanges {left} do not come to an end")

    def _let_act(self, copy: Copy, *, patient: bool) -> None:
        stream = copy.stream
        if not copy.alive:
            return
        if stream.state is FunctionState.DONE or not patient:
            copy.go_back()
            return
        if stream.cancelled is not None:
            stream.reset(ResetCode.CANCELLED, "stopped")
        copy.take_upload()
        copy.write(BODY)
        if copy.written == len(copy.body) and stream.upload_ended:
            copy.end()
        if copy.wire is None:
            self.dial().attach(copy)
