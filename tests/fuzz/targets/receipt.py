"""`Receipt.parse`, and what the gateway's stream makes of what passes."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from protocol.errors import RemoteProtocolError, StreamFailed
from protocol.frames import Data, End, Head, Reset
from protocol.gateway_stream import GatewayStream
from protocol.limits import MAX_HEADERS, MAX_INT, RECEIPT_BODY_MAX, Limits
from protocol.receipt import Receipt
from tests.fuzz.allocation import measured_peak
from tests.fuzz.choices import Choices
from tests.fuzz.made_json import parsed, spoiled

XID = bytes(range(16))
#: Around what one base64 group holds, and (rarely, for they take long) around the limit.
_SIZES = (0, 1, 2, 3, 4, 5, 100, 4095)
_LARGE = (RECEIPT_BODY_MAX - 1, RECEIPT_BODY_MAX, RECEIPT_BODY_MAX + 1, RECEIPT_BODY_MAX + 3)
#: Whatever a receipt holds, it is parsed from at most 6 MB; what a parser adds is a copy of the tail.
_CONSTANT = 512 * 1024
_LIMITS = Limits()


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    obj = parsed(choices.rest()) if choices.flag() else _made(choices)
    try:
        with measured_peak() as peak:
            receipt = Receipt.parse(obj)
    except RemoteProtocolError as error:
        assert str(error).isprintable(), "the reason goes to the log"
        return
    if receipt is None:
        assert not (isinstance(obj, dict) and isinstance(obj.get("dialback"), dict))
        return
    tail = 0 if receipt.tail is None else len(receipt.tail[1])
    assert peak.bytes <= 4 * tail + _CONSTANT, f"{peak.bytes} bytes for a tail of {tail}"
    _require_faithful(receipt)
    _require_followed(receipt, choices)


def _made(choices: Choices) -> Any:
    """A receipt that is legal, more or less."""
    size = choices.pick(_LARGE) if choices.byte() == 0xA7 else choices.pick(_SIZES)
    body = (choices.some(64) + bytes(size))[:size]
    encoded = base64.b64encode(body).decode()
    fields = {
        "v": 1,
        "xid": XID.hex(),
        "inv": 1,
        "status": choices.pick(("end", "reset", "lost")),
        "code": choices.pick((None, 1, 2, 99)),
        "final": size,
        "crc": zlib.crc32(body),
        "head": {"status": 200, "headers": [["a", "b"], ["content-length", str(size)]]},
        "tail": {"offset": 0, "base64": _mangled(encoded, choices)},
        "dial": choices.pick((None, "refused")),
    }
    return {"dialback": spoiled(fields, choices)}


def _mangled(encoded: str, choices: Choices) -> str:
    how = choices.below(8)
    cut = choices.below(5)
    if how == 1:
        return encoded[: len(encoded) - cut]
    if how == 2:
        return encoded + "="
    if how == 3:
        return encoded[:cut] + choices.pick(("\n", " ", "-", "_", "=", "\u00e9", "\x00")) + encoded
    return encoded


def _require_faithful(receipt: Receipt) -> None:
    assert receipt.inv >= 1
    assert 0 <= receipt.final <= MAX_INT
    assert 0 <= receipt.crc < 2**32
    if receipt.tail is not None:
        assert 0 <= receipt.tail[0] <= MAX_INT
        assert len(receipt.tail[1]) <= RECEIPT_BODY_MAX
    if receipt.head is not None:
        assert len(receipt.head[1]) <= MAX_HEADERS
    again = Receipt.parse(json.loads(json.dumps(receipt.to_json())))
    assert again == receipt


def _require_followed(receipt: Receipt, choices: Choices) -> None:
    """The stream raises nothing but StreamFailed, and says END only for a whole body."""
    stream = GatewayStream(XID, limits=_LIMITS, upload=False, check_length=choices.flag())
    try:
        records = stream.apply_receipt(receipt)
    except StreamFailed:
        assert stream.failed is not None
        return
    if receipt.xid != XID.hex():
        assert not records
        return
    body = b"".join(record.data for record in records if isinstance(record, Data))
    if receipt.status == "end":
        assert isinstance(records[0], Head)
        assert isinstance(records[-1], End)
        assert (len(body), zlib.crc32(body)) == (receipt.final, receipt.crc)
        assert stream.ended
    else:
        assert [type(record) for record in records] == [Reset]
