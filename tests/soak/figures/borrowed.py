"""A function that lets the process at $PEER stream in its place: as small as a worker can be."""

import json
import os
import socket


def handler(event, context):  # type: ignore[no-untyped-def]  # typing would be its largest import
    """Pass the envelope on, wait, and return the receipt."""
    asked = {
        "envelope": context.client_context.custom["dialback"],
        "remaining_ms": context.get_remaining_time_in_millis(),
    }
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(os.environ["PEER"])
        with link.makefile("rw") as lines:
            lines.write(json.dumps(asked) + "\n")
            lines.flush()
            return json.loads(lines.readline())
