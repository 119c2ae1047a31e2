"""A function that knows nothing of dialback and answers by its return value.

/tiny?stay=   what `streamed` streams there: "hello\\n", `stay` milliseconds later
/held?gate=   the same once that file exists; until then there is one beside it for each function
"""

from __future__ import annotations

import os
import time
from typing import Any


def hold(gate: str) -> None:
    with open(f"{gate}.{os.getpid()}", "w"):
        pass
    while not os.path.exists(gate):
        time.sleep(0.01)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    query = event.get("queryStringParameters", {})
    if stay := int(query.get("stay", "0")):  # as in `streamed`
        time.sleep(stay / 1000)
    if gate := query.get("gate"):
        hold(gate)
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/octet-stream"},
        "body": "hello\n",
    }
