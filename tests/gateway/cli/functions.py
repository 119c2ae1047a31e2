"""Functions that the command-line tests let a real `dialback` process serve."""

from __future__ import annotations

import json
import os
import resource
import time
from typing import TYPE_CHECKING, Any

from lambda_client import streaming

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_CALLABLE = 1


def echo(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """What the function sees."""
    seen = {
        "path": event["rawPath"],
        "query": event["rawQueryString"],
        "name": context.function_name,
        "env": {key: value for key, value in os.environ.items() if key.startswith("DIALBACK_")},
        "stage": os.environ.get("STAGE"),
    }
    return {"statusCode": 200, "body": json.dumps(seen)}


def slow(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers when a file appears."""
    print("slow has begun", flush=True)
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.02)
    return {"statusCode": 200, "body": "finished"}


@streaming
def ticks(event: dict[str, Any], context: Any) -> Iterator[bytes]:
    """Streams until a file appears, and says if it is stopped before."""
    try:
        gate = event.get("queryStringParameters", {}).get("gate", os.environ["GATE"])
        while not os.path.exists(gate):
            yield b"tick\n"
            time.sleep(0.02)
        yield b"finished\n"
    except GeneratorExit:
        print("ticks was stopped", flush=True)
        raise


def plain(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """For the Invoke API: the event comes back."""
    return {"event": event}


def descriptors(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """How many it may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {"statusCode": 200, "body": str(soft)}
