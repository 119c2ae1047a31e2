"""One slow answer, three ways: returned whole, streamed word by word, and as server-sent events.

dialback dev deploy/examples/demo/slow.py:streamed --route /buffered=deploy/examples/demo/slow.py:buffered
curl -N http://127.0.0.1:8080/
curl -N http://127.0.0.1:8080/buffered
"""

import os
import re
import time

from lambda_client import streaming

INTERVAL = float(os.environ.get("INTERVAL", "0.05"))  # seconds from word to word

ESSAY = """\
A Lambda function answers like a letter: written to the last line, sealed, and only then sent. \
Until it arrives, whoever asked for it looks at nothing.

This page asked for the same letter twice. On one side it was sealed first. On the other the \
function dialled back: it opened a WebSocket to the gateway that holds your request, and is \
reading the letter to you over the open line, word by word, while it is still being written.

Both take equally long to write. It is an ordinary Python function on an ordinary runtime; one \
decorator makes the difference. And because the words travel over the function's own connection, \
the limits of a Lambda response, six megabytes or two megabytes a second, no longer apply.
"""


def buffered(event, context):
    return {"statusCode": 200, "headers": PLAIN, "body": "".join(words())}


@streaming
def streamed(event, context):
    yield {"statusCode": 200, "headers": PLAIN}
    yield from words()


@streaming
def events(event, context):
    yield {"statusCode": 200, "headers": {"content-type": "text/event-stream"}}
    for number in range(1, 11):
        yield f"data: {number}\n\n"
        time.sleep(10 * INTERVAL)
    yield "event: end\ndata: ten events were sent\n\n"


PLAIN = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}


def words():
    for word in re.findall(r"\S+\s*", ESSAY):
        yield word
        time.sleep(INTERVAL)
