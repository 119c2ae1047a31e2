"""The ClientContext is put together of parts: what comes out is the envelope all the same."""

from __future__ import annotations

import json

import pytest

from gateway.exchange.invocation import CallbackOffer, client_context
from gateway.tokens import Grant, Tokens
from protocol.envelope import KEY, Envelope
from protocol.limits import Limits

XID = bytes(range(16))
URLS = ("wss://one/a%20b%b", "ws://two:81")


@pytest.mark.parametrize(
    ("upload", "body", "length"), [(None, "inline", None), (-1, "stream", None), (7, "stream", 7)]
)
def test_it_carries_the_envelope(upload: int | None, body: str, length: int | None) -> None:
    grant = Grant(XID, 3, Tokens().mint(XID, 3, now=1.0, lifetime=1.0))
    written = client_context(CallbackOffer(URLS, 9, Limits()), grant, upload=upload)
    told = json.loads(written)["custom"][KEY]
    envelope = Envelope.parse(told)
    assert envelope.to_json() == told
    assert (envelope.xid_bytes, envelope.inv, envelope.token) == (XID, 3, grant.token)
    assert (envelope.urls, envelope.window) == (URLS, 9)
    assert envelope.max_frame == Limits().max_frame
    assert (envelope.body, envelope.body_length) == (body, length)
