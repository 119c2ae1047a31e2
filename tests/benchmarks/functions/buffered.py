"""A function that knows nothing of dialback and answers by its return value.

/tiny?stay=   what `streamed` streams there: "hello\\n", `stay` milliseconds later
"""

from __future__ import annotations

import time
from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    time.sleep(int(event.get("queryStringParameters", {}).get("stay", "0")) / 1000)
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/octet-stream"},
        "body": "hello\n",
    }
