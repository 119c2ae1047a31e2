"""Functions that the command-line tests let a real `dialback` process serve."""

from __future__ import annotations

import json
import os
import time
from typing import Any

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


def plain(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """For the Invoke API: the event comes back."""
    return {"event": event}
