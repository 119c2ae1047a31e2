"""Stream from an ordinary Lambda function: the library that runs inside it.

from lambda_client import streaming

@streaming
def handler(event, context):
    yield {"statusCode": 200, "headers": {"content-type": "text/plain"}}
    yield "the first chunk leaves while the next is being made"
"""

from lambda_client.cancellation import cancelled, check_cancelled
from lambda_client.errors import (
    ClientGone,
    DeadlineReached,
    GatewayUnreachable,
    StreamClosed,
    StreamLost,
)
from lambda_client.handlers import streamify_response, streaming
from lambda_client.request import RequestBody, request_body
from lambda_client.response import AsyncResponseStream, HttpResponseStream, ResponseStream

__all__ = [
    "AsyncResponseStream",
    "ClientGone",
    "DeadlineReached",
    "GatewayUnreachable",
    "HttpResponseStream",
    "RequestBody",
    "ResponseStream",
    "StreamClosed",
    "StreamLost",
    "cancelled",
    "check_cancelled",
    "request_body",
    "streamify_response",
    "streaming",
]
