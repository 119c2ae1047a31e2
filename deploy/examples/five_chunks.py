"""Five chunks, one second apart: the smallest function that streams.

dialback dev deploy/examples/five_chunks.py:handler
curl -N http://127.0.0.1:8080/
"""

import os
import time

from lambda_client import streaming

INTERVAL = float(os.environ.get("INTERVAL", "1"))  # seconds


@streaming
def handler(event, context):
    for number in range(1, 6):
        yield f"chunk {number} of 5\n"
        if number < 5:
            time.sleep(INTERVAL)
