"""The payload 1.0 event and result, for functions that were written for API Gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from gateway.errors import FunctionFailed
from gateway.invoke.event_v1 import build_event_v1
from gateway.invoke.result import BufferedResponse, parse_result
from tests.gateway.invoke.requests import edge_request

NOW = 1583349317.135  # 04/Mar/2020 19:15:17.135 UTC

HEADERS = (
    (b"host", b"id.execute-api.us-east-1.amazonaws.com"),
    (b"user-agent", b"user-agent"),
    (b"header1", b"value1"),
    (b"header2", b"value1"),
    (b"header2", b"value2"),
)


def event(*headers: tuple[bytes, bytes], body: bytes | None = None, **asked: Any) -> dict[str, Any]:
    request = edge_request(*headers, client_address="192.168.0.1", **asked)
    built: dict[str, Any] = json.loads(
        build_event_v1(request, exchange_id="id", body=body, now=NOW)
    )
    return built


NOBODY = dict.fromkeys(
    (
        "accessKey",
        "accountId",
        "caller",
        "cognitoAuthenticationProvider",
        "cognitoAuthenticationType",
        "cognitoIdentityId",
        "cognitoIdentityPoolId",
        "principalOrgId",
        "user",
        "userArn",
    )
)

WHOLE = {
    "version": "1.0",
    "resource": "$default",
    "path": "/my/path",
    "httpMethod": "GET",
    "headers": {
        "host": "id.execute-api.us-east-1.amazonaws.com",
        "user-agent": "user-agent",
        "header1": "value1",
        "header2": "value2",
    },
    "multiValueHeaders": {
        "host": ["id.execute-api.us-east-1.amazonaws.com"],
        "user-agent": ["user-agent"],
        "header1": ["value1"],
        "header2": ["value1", "value2"],
    },
    "queryStringParameters": {"parameter1": "value2", "parameter2": "value"},
    "multiValueQueryStringParameters": {
        "parameter1": ["value1", "value2"],
        "parameter2": ["value"],
    },
    "requestContext": {
        "accountId": "anonymous",
        "apiId": "id",
        "domainName": "id.execute-api.us-east-1.amazonaws.com",
        "domainPrefix": "id",
        "extendedRequestId": "id",
        "httpMethod": "GET",
        "identity": {**NOBODY, "sourceIp": "192.168.0.1", "userAgent": "user-agent"},
        "path": "/my/path",
        "protocol": "HTTP/1.1",
        "requestId": "id",
        "requestTime": "04/Mar/2020:19:15:17 +0000",
        "requestTimeEpoch": 1583349317135,
        "resourceId": None,
        "resourcePath": "$default",
        "stage": "$default",
    },
    "pathParameters": None,
    "stageVariables": None,
    "body": None,
    "isBase64Encoded": False,
}


def test_a_whole_event() -> None:
    """After Powertools' `apiGatewayProxyEvent.json`.

    Ours are resource, accountId and ids, and that the last of repeats stands alone: the example
    has it so for headers, and for the query the first.
    """
    query = "parameter1=value1&parameter1=value2&parameter2=value"
    assert event(*HEADERS, method="GET", path="/my/path", query=query) == WHOLE


def test_what_is_empty_is_null() -> None:
    built = event()
    assert built["queryStringParameters"] is built["multiValueQueryStringParameters"] is None
    assert built["requestContext"]["domainName"] == ""


def test_powertools_reads_it() -> None:
    form = (b"content-type", b"application/x-www-form-urlencoded")
    read = APIGatewayProxyEvent(event(*HEADERS, form, body=b"a=1", path="/a", query="q=1&q=2"))
    assert (read.http_method, read.path, read.decoded_body) == ("POST", "/a", "a=1")
    assert read.resolved_query_string_parameters == {"q": ["1", "2"]}
    assert read.multi_value_headers["header2"] == ["value1", "value2"]
    assert str(read.request_context.identity.source_ip) == "192.168.0.1"


def parsed(**fields: Any) -> BufferedResponse:
    response = parse_result(json.dumps({"statusCode": 200, **fields}).encode(), "1.0")
    assert isinstance(response, BufferedResponse)
    return response


def test_multi_value_headers_count_and_win() -> None:
    response = parsed(
        headers={"Content-Type": "text/plain", "X-A": "0"},
        multiValueHeaders={"x-a": ["1", 2], "Set-Cookie": ["a=1", "b=2"]},
        cookies=["c=3"],
    )
    assert response.headers == (
        (b"content-type", b"text/plain"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    )
    assert parsed(multiValueHeaders=None).status == 200


@pytest.mark.parametrize("value", [[], {"x-a": "1"}, {"x-a": [None]}, "x"])
def test_multi_value_headers_of_a_wrong_shape(value: Any) -> None:
    with pytest.raises(FunctionFailed, match=r"multiValueHeaders must be|header 'x-a'"):
        parsed(multiValueHeaders=value)
