"""`Envelope.parse`: what passes is what was meant, and a function can use it without a further check."""

from __future__ import annotations

import json
from typing import Any

from protocol.codec import encode
from protocol.envelope import Envelope
from protocol.errors import RemoteProtocolError
from protocol.frames import Attach
from protocol.function_stream import FunctionStream
from protocol.limits import MAX_INT, MAX_MAX_FRAME, MIN_MAX_FRAME, Limits
from tests.fuzz.choices import Choices
from tests.fuzz.made_json import parsed, spoiled

LEGAL: dict[str, Any] = {
    "v": 1,
    "xid": "00" * 16,
    "inv": 1,
    "urls": ["ws://127.0.0.1:1", "wss://h/p"],
    "token": "token",
    "window": 262144,
    "max_frame": 65536,
    "body": "inline",
    "body_length": 5,
}
_LIMITS = Limits()


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    obj = parsed(choices.rest()) if choices.flag() else spoiled(LEGAL, choices)
    try:
        envelope = Envelope.parse(obj)
    except RemoteProtocolError as error:
        assert str(error).isprintable(), "the reason goes to the log"
        return
    assert envelope.inv >= 1
    assert MIN_MAX_FRAME <= envelope.max_frame <= MAX_MAX_FRAME
    assert 1 <= envelope.window <= MAX_INT
    assert envelope.xid_bytes.hex() == envelope.xid == obj["xid"]
    assert {key: obj.get(key) for key in LEGAL} == envelope.to_json(), "something was changed"
    _require_usable(envelope)


def _require_usable(envelope: Envelope) -> None:
    again = Envelope.parse(json.loads(json.dumps(envelope.to_json())))
    assert again == envelope
    for url in envelope.urls:
        assert url.startswith(("ws://", "wss://"))
        assert all("!" <= letter <= "~" for letter in url), "it becomes a request line"
    attach = FunctionStream(envelope, secret=bytes(16), limits=_LIMITS).attach(1)
    assert isinstance(attach, Attach)
    assert encode(attach), "the token must fit an ATTACH"
    assert all("!" <= letter <= "~" for letter in envelope.token), "it becomes a header"
