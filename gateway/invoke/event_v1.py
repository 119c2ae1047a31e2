"""The payload 1.0 event, as an HTTP API sends it: for functions that were written for API Gateway.

After AWS's documents (API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP
APIs"): repeats stand in ``multiValue...``, the last one of them alone; there is no ``cookies``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gateway.invoke.event import encode_body, header_text, log_time, query_pairs

if TYPE_CHECKING:
    from gateway.messages import EdgeRequest

_IDENTITY = {
    "accessKey": None,
    "accountId": None,
    "caller": None,
    "cognitoAuthenticationProvider": None,
    "cognitoAuthenticationType": None,
    "cognitoIdentityId": None,
    "cognitoIdentityPoolId": None,
    "principalOrgId": None,
    "user": None,
    "userArn": None,
}


def build_event_v1(
    request: EdgeRequest, *, exchange_id: str, body: bytes | None, now: float
) -> bytes:
    """Write the event for one request; see `gateway.invoke.event.build_event`."""
    many: dict[str, list[str]] = {}
    for name, value in request.headers:
        many.setdefault(name.decode("latin-1"), []).append(header_text(value))
    query: dict[str, list[str]] = {}
    for key, item in query_pairs(request.query):
        query.setdefault(key, []).append(item)
    headers = {name: values[-1] for name, values in many.items()}
    text, is_base64 = encode_body(body, headers.get("content-type", "")) if body else (None, False)
    return msgspec.json.encode(
        {
            "version": "1.0",
            "resource": "$default",
            "path": request.path,
            "httpMethod": request.method,
            "headers": headers,
            "multiValueHeaders": many,
            "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "requestContext": _context(request, headers, exchange_id, now),
            "pathParameters": None,
            "stageVariables": None,
            "body": text,
            "isBase64Encoded": is_base64,
        }
    )


def _context(
    request: EdgeRequest, headers: dict[str, str], exchange_id: str, now: float
) -> dict[str, Any]:
    host = headers.get("host", "")
    domain = host if host.endswith("]") else host.rsplit(":", 1)[0]
    prefix = domain.split(".", 1)[0]
    return {
        "accountId": "anonymous",
        "apiId": prefix,
        "domainName": domain,
        "domainPrefix": prefix,
        "extendedRequestId": exchange_id,
        "httpMethod": request.method,
        "identity": {
            **_IDENTITY,
            "sourceIp": request.client_address,
            "userAgent": headers.get("user-agent", ""),
        },
        "path": request.path,
        "protocol": request.version,
        "requestId": exchange_id,
        "requestTime": log_time(int(now)),
        "requestTimeEpoch": int(now * 1000),
        "resourceId": None,
        "resourcePath": "$default",
        "stage": "$default",
    }
