"""foo, bar, baz: as plain chunks and as server-sent events, written to a response stream.

    dialback dev deploy/examples/foo_bar_baz.py:handler
    curl -N http://127.0.0.1:8080/chunked
    curl -N http://127.0.0.1:8080/sse

`streamify_response` and `HttpResponseStream` are what Node.js functions know from `awslambda`.
"""

import os
import time

from lambda_client import HttpResponseStream, streamify_response

INTERVAL = float(os.environ.get("INTERVAL", "1"))  # seconds


@streamify_response
def handler(event, response_stream, context):
    sse = event["rawPath"] == "/sse"
    metadata = {
        "statusCode": 200,
        "headers": {"content-type": "text/event-stream" if sse else "text/plain"},
    }
    response_stream = HttpResponseStream.from_(response_stream, metadata)
    for word in ("foo", "bar", "baz"):
        response_stream.write(f"data: {word}\n\n" if sse else f"{word}\n")
        time.sleep(INTERVAL)
    response_stream.end()
