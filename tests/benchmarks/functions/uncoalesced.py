"""A function whose client library was told to make a DATA frame of every 100 bytes.

/bulk?chunk=&total=   as in `streamed`

The library joins small chunks that wait together; a peer that does not may exist, and its frames are
what a gateway has to read one by one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lambda_client.invocation import read_invocation
from lambda_client.session import Session

if TYPE_CHECKING:
    from protocol.sender import Sender

FRAME = 100
"""Bytes; less than the 4 KiB that an envelope may ask for, so it is set where it is used."""

WRITE = 1 << 16


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    invocation = read_invocation(event, context, now=time.monotonic())
    assert invocation.envelope is not None, "called without a gateway"
    session = Session(invocation, invocation.envelope)
    body: Sender = session.stream._response.body
    body.max_frame = FRAME
    session.start(200, ((b"content-type", b"application/octet-stream"),))
    left = int(event["queryStringParameters"]["total"])
    while left:
        left -= (size := min(left, WRITE))
        session.write(bytes(size))
    return session.finish()
