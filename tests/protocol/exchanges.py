"""One exchange from both sides: what its functions make and read, and what its client gets."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from protocol.errors import RejectCode, StreamFailed
from protocol.frames import Data, Head, Reset
from protocol.function_stream import FunctionState, FunctionStream
from protocol.gateway_stream import GatewayStream
from protocol.receipt import Receipt
from tests.protocol.link import LIMITS, envelope

if TYPE_CHECKING:
    from protocol.gateway_stream import Record
    from tests.protocol.wires import Wire

WINDOW = 64
FRAME = 16
BODY = 400
UPLOAD = 300


class Copy:
    """One running invocation: its stream, and what user code makes and reads."""

    def __init__(self, exchange: Exchange, number: int, inv: int) -> None:
        streamed = "inline" if exchange.upload is None else "stream"
        self.exchange = exchange
        self.inv = inv
        self.name = f"{exchange.number}-{number}"
        self.stream = FunctionStream(
            envelope(xid=exchange.xid.hex(), inv=inv, window=WINDOW, body=streamed),
            secret=self.name.encode().rjust(16),
            limits=LIMITS,
        )
        self.stream._response.body.max_frame = FRAME
        self.body = random.Random(self.name).randbytes(BODY)
        self.head = [(b"x-copy", self.name.encode())]
        self.written = 0
        self.read = bytearray()
        self.wire: Wire | None = None
        self.receipt: Receipt | None = None
        self.ended_early = False
        self.undialled = False
        self.parts: bool | None = (
            None  # its code is over, and it waits for END_ACK no longer; True: and says so
        )

    @property
    def alive(self) -> bool:
        """Whether the invocation has not returned."""
        return self.receipt is None

    @property
    def attachable(self) -> bool:
        """Whether it may (still) attach."""
        return self.alive and self.stream.state is not FunctionState.DONE

    def start(self) -> None:
        """Give the head, unless it was given."""
        if not self.stream.started:
            self.stream.start(200, self.head)

    def write(self, size: int) -> int:
        """Write the next bytes of its body, as many as there is room for."""
        self.start()
        if self.stream.ended:
            return 0
        accepted = self.stream.write(self.body[self.written : self.written + size])
        self.written += accepted
        return accepted

    def end(self) -> None:
        """End the response where it stands."""
        self.start()
        if not self.stream.ended:
            self.stream.end()

    def take_upload(self) -> None:
        """Read every request byte that waits."""
        self.read += b"".join(self.stream.read())

    def owns(self, head: Head) -> bool:
        """Whether this is its head."""
        return list(head.headers) == self.head

    def go_back(self, *, inline: bool = False) -> None:
        """Return from the invocation with whatever receipt there is now."""
        receipt = self.stream.inline_answer() if inline else self.stream.receipt()
        if receipt is not None:
            self.receipt = Receipt.parse(json.loads(json.dumps(receipt.to_json())))


class Exchange:
    """One exchange as gateway and client see it."""

    def __init__(self, number: int, *, upload: bool, inv: int) -> None:
        self.number = number
        self.xid = number.to_bytes(16, "big")
        self.gateway = GatewayStream(self.xid, window=WINDOW, limits=LIMITS, upload=upload)
        if self.gateway._upload is not None:
            self.gateway._upload.body.max_frame = FRAME
        self.upload = random.Random(number).randbytes(UPLOAD) if upload else None
        self.uploaded = 0
        self.upload_finished = False
        self.received = bytearray()
        self.consumed = 0
        self.records: list[Record] = []
        self.failures: list[StreamFailed] = []
        #: Why this exchange need not become what its function meant.
        self.excuses: set[str] = set()
        self.main = Copy(self, 0, inv)
        self.copies = [self.main]
        self.receipt_taken = False

    @property
    def outcome(self) -> str | None:
        """How it ended for the client, or None."""
        if self.gateway.ended and self.gateway.cancelled is None:
            return "ended"
        if self.gateway.failed is not None or self.gateway.cancelled is not None:
            return "broken"
        return "broken" if any(isinstance(record, Reset) for record in self.records) else None

    @property
    def over(self) -> bool:
        """Whether nothing is left to be done for anybody."""
        taken = self.consumed == len(self.received) or self.outcome == "broken"
        back = not any(copy.attachable for copy in self.copies)
        return self.outcome is not None and taken and back

    def note(self, record: Record) -> None:
        """Take what is new from the gateway's stream."""
        self.records.append(record)
        if isinstance(record, Data):
            assert record.offset == len(self.received), "I1: a hole, or bytes twice"
            self.received += record.data

    def client_takes(self, count: int) -> int:
        """Move bytes on to the client; they become credit."""
        count = min(count, len(self.received) - self.consumed)
        self.gateway.consumed(count)
        self.consumed += count
        return count

    def client_uploads(self, count: int) -> int:
        """Move request bytes to the gateway's stream, and its end behind the last."""
        if self.upload is None or self.upload_finished or self.gateway.terminal is not None:
            return 0
        accepted = self.gateway.upload(self.upload[self.uploaded : self.uploaded + count])
        self.uploaded += accepted
        if self.uploaded == len(self.upload):
            self.gateway.finish_upload()
            self.upload_finished = True
        return accepted

    def take_receipt(self) -> None:
        """Hear from the invoke what the main copy returned."""
        assert self.main.receipt is not None
        self.receipt_taken = True
        try:
            for record in self.gateway.apply_receipt(self.main.receipt):
                self.note(record)
        except StreamFailed as error:
            self.fail(error)

    def fail(self, error: StreamFailed) -> None:
        """Note a failure; without an excuse nothing can fail."""
        assert self.excuses, f"an honest exchange failed: {error}"
        self.failures.append(error)

    def bury(self) -> None:
        """Keep no more than a tombstone."""
        self.gateway.terminate(self.gateway.terminal or RejectCode.TERMINAL)
