"""Server-sent events beside an ordinary JSON endpoint, in one function.

    dialback dev deploy/examples/sse.py:handler
    curl -N http://127.0.0.1:8080/events
    curl http://127.0.0.1:8080/status

A handler may return a response as it always did. If its body is an iterator, it is streamed;
if it is a string, nothing changes.
"""

import json
import os
import time

from lambda_client import streaming

INTERVAL = float(os.environ.get("INTERVAL", "1"))  # seconds


@streaming
def handler(event, context):
    if event["rawPath"] == "/events":
        return {
            "statusCode": 200,
            "headers": {"content-type": "text/event-stream", "cache-control": "no-cache"},
            "body": ten_events(),
        }
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"status": "ok", "path": event["rawPath"]}),
    }


def ten_events():
    for number in range(1, 11):
        yield f"data: event {number} of 10\n\n"
        time.sleep(INTERVAL)
    yield "event: end\ndata: that was all\n\n"
