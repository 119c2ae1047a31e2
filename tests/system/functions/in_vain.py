"""A function that runs, notes that it did, and never dials back."""

from __future__ import annotations

import os
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    with open(os.environ["CALLS"], "ab", buffering=0) as calls:
        calls.write(event["requestContext"]["requestId"].encode() + b"\n")
    envelope = context.client_context.custom["dialback"]
    report = {"v": 1, "xid": envelope["xid"], "inv": envelope["inv"], "status": "lost"}
    return {"dialback": report | {"final": 0, "crc": 0, "dial": "connection refused"}}
