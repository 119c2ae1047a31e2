"""A response that lasts until a test ends it, of bytes that tell where they belong."""

from __future__ import annotations

import itertools
import os
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
    """Parts until a file appears, which the query names; one at least."""
    for number in itertools.count():
        yield part(number)
        if os.path.exists(event["queryStringParameters"]["gate"]):
            return
        time.sleep(0.01)
