from __future__ import annotations

import json

import pytest

from protocol.errors import RemoteProtocolError
from protocol.limits import RECEIPT_BODY_MAX
from protocol.receipt import Receipt

XID = "0123456789abcdef" * 2
PLAIN = Receipt(XID, 1, "end", None, 5, 7)


@pytest.mark.parametrize(
    "receipt",
    [
        PLAIN,
        Receipt(XID, 1, "reset", 3, 5, 7),
        Receipt(XID, 2, "lost", 7, 0, 0, dial="refused"),
        Receipt(XID, 1, "end", None, 5, 7, (200, ((b"a", b"\xe9"),)), (0, bytes(range(256)))),
        Receipt(XID, 1, "end", None, 0, 0, (204, ()), (0, b"")),
    ],
)
def test_round_trip_through_json(receipt: Receipt) -> None:
    assert Receipt.parse(json.loads(json.dumps(receipt.to_json()))) == receipt


@pytest.mark.parametrize("result", [None, 1, "x", [], {}, {"statusCode": 200}, {"dialback": 1}])
def test_an_ordinary_result_is_no_receipt(result: object) -> None:
    assert Receipt.parse(result) is None


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("v", 2, "receipt.v"),
        ("xid", "x", "receipt.xid"),
        ("inv", 0, "receipt.inv"),
        ("status", "fine", "receipt.status"),
        ("code", -1, "receipt.code"),
        ("final", None, "receipt.final"),
        ("crc", 2**32, "receipt.crc"),
        ("head", 1, "receipt.head"),
        ("head", {"status": 99, "headers": []}, "receipt.head.status"),
        ("head", {"status": 200, "headers": {}}, "receipt.head.headers"),
        ("head", {"status": 200, "headers": ["ab"]}, "receipt.head.headers"),
        ("head", {"status": 200, "headers": [["a", 1]]}, "receipt.head.headers"),
        ("head", {"status": 200, "headers": [["a", "\u20ac"]]}, "receipt.head.headers"),
        ("tail", [], "receipt.tail"),
        ("tail", {"offset": -1, "base64": ""}, "receipt.tail.offset"),
        ("tail", {"offset": 0, "base64": 1}, "receipt.tail.base64"),
        ("tail", {"offset": 0, "base64": "*"}, "receipt.tail.base64"),
        ("tail", {"offset": 0, "base64": "\u20ac"}, "receipt.tail.base64"),
        ("dial", 1, "receipt.dial"),
    ],
)
def test_a_wrong_value_is_named(key: str, value: object, named: str) -> None:
    fields = PLAIN.to_json()["dialback"]
    assert isinstance(fields, dict)
    with pytest.raises(RemoteProtocolError, match=named):
        Receipt.parse({"dialback": fields | {key: value}})


def test_a_tail_is_bounded() -> None:
    large = Receipt(XID, 1, "end", None, 5, 7, tail=(0, bytes(RECEIPT_BODY_MAX + 1)))
    with pytest.raises(RemoteProtocolError, match="at most"):
        Receipt.parse(large.to_json())
