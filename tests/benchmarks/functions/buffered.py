"""A function that knows nothing of dialback and answers by its return value.

/tiny   what `streamed` streams there: "hello\\n"
"""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/octet-stream"},
        "body": "hello\n",
    }
