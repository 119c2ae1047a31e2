"""Ordinary handlers: Powertools' resolvers, unchanged and decorated."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.event_handler import (
    APIGatewayHttpResolver,
    LambdaFunctionUrlResolver,
    Response,
)

from lambda_client import streaming

http_api, function_url = APIGatewayHttpResolver(), LambdaFunctionUrlResolver()


@http_api.get("/powertools/<name>")
@http_api.get("/powertools-streaming/<name>")
@function_url.get("/powertools-url/<name>")
@function_url.get("/powertools-url-streaming/<name>")
def hello(name: str) -> Response[str]:
    return Response(201, "text/plain", f"hello {name}", headers={"x-a": ["1", "2"]})


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return http_api.resolve(event, context)


def url_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return function_url.resolve(event, context)


streaming_handler = streaming(handler)
streaming_url_handler = streaming(url_handler)
