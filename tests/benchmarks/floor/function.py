"""What runs in the floor's workers: the workloads of `tests.benchmarks.functions.streamed`, into the pipe."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.floor.client import connection_to
from tests.benchmarks.functions.streamed import WORKS

HEADERS = {"content-type": "application/octet-stream"}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    callback = connection_to(event["callback"]["port"])
    callback.begin(event["callback"]["token"], 200, HEADERS)
    size = 0
    for chunk in WORKS[event["rawPath"].rpartition("/")[2]](event["queryStringParameters"]):
        callback.write(chunk)
        size += len(chunk)
    callback.end()
    return {"streamed": size}
