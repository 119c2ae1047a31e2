"""A chat that answers token by token, as server-sent events, from an async generator.

    dialback dev deploy/examples/chat.py:handler
    curl -N "http://127.0.0.1:8080/?q=Why+does+it+dial+back?"

Put your model's client in the place of `tokens`.
"""

import asyncio
import json
import os
import re

from lambda_client import streaming

INTERVAL = float(os.environ.get("INTERVAL", "0.06"))  # seconds from token to token

ANSWER = (
    "You asked: {question} A Lambda function can only return a whole answer, so this one does not "
    "return it. It opens a WebSocket to the gateway that is holding your request, and writes each "
    "token there the moment it exists. That is why you can read this while it is being written."
)


@streaming
async def handler(event, context):
    question = event.get("queryStringParameters", {}).get("q", "What is this?")
    yield {"statusCode": 200, "headers": {"content-type": "text/event-stream"}}
    async for token in tokens(question):
        yield f"data: {json.dumps({'token': token})}\n\n"
    yield "event: done\ndata: {}\n\n"


async def tokens(question):
    """Stands for a language model."""
    for token in re.findall(r"\s*\S+", ANSWER.format(question=question)):
        yield token
        await asyncio.sleep(INTERVAL)
