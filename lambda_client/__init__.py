"""Stream from an ordinary Lambda function: the library that runs inside it.

from lambda_client import streaming

@streaming
def handler(event, context):
    yield {"statusCode": 200, "headers": {"content-type": "text/plain"}}
    yield "the first chunk leaves while the next is being made"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from lambda_client.asgi_app import asgi
    from lambda_client.wsgi_app import wsgi

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
    "asgi",
    "cancelled",
    "check_cancelled",
    "request_body",
    "streamify_response",
    "streaming",
    "wsgi",
]

_ADAPTERS = {"asgi": "lambda_client.asgi_app", "wsgi": "lambda_client.wsgi_app"}


def __getattr__(name: str) -> Any:
    """Import an adapter when it is asked for: other functions do not pay for it."""
    if name not in _ADAPTERS:
        raise AttributeError(f"module 'lambda_client' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ADAPTERS[name]), name)
