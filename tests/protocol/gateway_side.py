"""One end of a stream, the gateway's, as its tests set it up."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

from protocol.errors import (
    RejectCode,
)
from protocol.frames import (
    Attach,
    Attached,
    AttachFlag,
    Data,
    End,
    Head,
    Reject,
    StreamFrame,
)
from protocol.gateway_stream import GatewayStream
from protocol.receipt import Receipt
from tests.protocol.link import LIMITS, SECRET, XID

HEAD = Head(1, 200, ())
ABC = Data(1, 0, b"abc")
END = End(1, 3, crc32(b"abc"))
RESUMED = AttachFlag.HEAD_SENT


def attach_frame(sid: int = 1, inv: int = 1, epoch: int = 1, **changes: object) -> Attach:
    frame = Attach(sid, XID, inv, epoch, "token", SECRET, 0, 0, 4, 0, 64)
    return replace(frame, **changes)  # type: ignore[arg-type]


def stream(*, upload: bool = False) -> GatewayStream:
    return GatewayStream(XID, window=64, limits=LIMITS, upload=upload)


def bound(*frames: StreamFrame, upload: bool = False) -> GatewayStream:
    gateway = stream(upload=upload)
    assert isinstance(gateway.attach(attach_frame(), "one", 0.0), Attached)
    for frame in frames:
        gateway.receive("one", frame, 0.0)
    return gateway


def receipt(status: str = "end", **changes: object) -> Receipt:
    plain = Receipt(XID.hex(), 1, status, None, 3, crc32(b"abc"))  # type: ignore[arg-type]
    return replace(plain, **changes)  # type: ignore[arg-type]


def rejected(gateway: GatewayStream, frame: Attach) -> RejectCode:
    answer = gateway.attach(frame, "other", 0.0)
    assert isinstance(answer, Reject)
    assert answer.sid == frame.sid
    return RejectCode(answer.code)
