"""A response that takes a while, of bytes that tell where they belong."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from lambda_client import streaming

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = 2_000


def part(number: int) -> bytes:
    return (b"%d " % number * PART)[:PART]


@streaming
def steady(event: dict[str, Any], context: object) -> Iterator[bytes]:
    """Parts for as many seconds as the query says."""
    until = time.monotonic() + float(event["queryStringParameters"]["seconds"])
    for number in itertools.count():
        yield part(number)
        if time.monotonic() > until:
            return
        time.sleep(0.01)
