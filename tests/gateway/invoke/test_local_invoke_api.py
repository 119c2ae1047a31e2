"""The Invoke API over HTTP, called by an unmodified botocore client."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import botocore.config
import botocore.session
import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from gateway.invoke.local.invoke_api import InvokeApi
from gateway.invoke.local.limits import ASYNC_REQUEST_MAX, REQUEST_MAX
from tests.gateway.invoke.emulated import HOLD, begun, let_go, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.gateway.invoke.emulated import Emulator

    Serve = Callable[..., Any]

ECHO = """
def handler(event, context):
    print("seen", event)
    if event == "raise":
        raise ValueError("no luck")
    client = context.client_context
    return {"event": event, "custom": client and client.custom}
"""


class Client:
    """botocore in a thread, as a program would use it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = botocore.session.get_session().create_client(
            "lambda",
            region_name="eu-west-1",
            endpoint_url=url,
            aws_access_key_id="dummy",
            aws_secret_access_key="dummy",
            config=botocore.config.Config(retries={"max_attempts": 0}),
        )

    async def invoke(self, name: str = "fn", **arguments: Any) -> dict[str, Any]:
        def call() -> dict[str, Any]:
            answer = self._client.invoke(FunctionName=name, **arguments)
            return {**answer, "Payload": answer["Payload"].read()}

        return await asyncio.to_thread(call)

    async def refused(self, **arguments: Any) -> ClientError:
        with pytest.raises(ClientError) as caught:
            await self.invoke(**arguments)
        return caught.value

    def close(self) -> None:
        self._client.close()


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[Client]:
    async for served in serve(emulator, ECHO):
        yield served


@pytest.fixture
async def holding(emulator: Emulator) -> AsyncIterator[Client]:
    async for served in serve(emulator, HOLD, concurrency=1):
        yield served


async def serve(emulator: Emulator, code: str, **settings: Any) -> AsyncIterator[Client]:
    api = InvokeApi({"fn": emulator.function(code, **settings)})
    runner = web.AppRunner(api.application(), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    client = Client(f"http://{host}:{port}")
    yield client
    client.close()
    await runner.cleanup()
    await api.aclose()


@pytest.mark.parametrize(
    "name",
    [
        "fn",
        "fn:live",
        "fn:$LATEST",
        "000000000000:function:fn",
        "000000000000:function:fn:live",
        "arn:aws:lambda:eu-west-1:000000000000:function:fn",
        "arn:aws:lambda:eu-west-1:000000000000:function:fn:live",
    ],
)
async def test_every_form_of_the_name(client: Client, name: str) -> None:
    answer = await client.invoke(name, Payload=b'{"a": 1}')
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36
    assert json.loads(answer["Payload"]) == {"event": {"a": 1}, "custom": None}


async def test_client_context_qualifier_and_log(client: Client) -> None:
    context = base64.b64encode(json.dumps({"custom": {"k": "é"}}).encode()).decode()
    answer = await client.invoke(
        Payload=b'"x"', ClientContext=context, Qualifier="live", LogType="Tail"
    )
    assert json.loads(answer["Payload"]) == {"event": "x", "custom": {"k": "é"}}
    log = base64.b64decode(answer["LogResult"]).decode().splitlines()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert log[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert "seen x" in log
    assert log[-1].startswith(f"REPORT RequestId: {request_id}")


async def test_an_empty_payload_is_an_empty_event(client: Client) -> None:
    assert json.loads((await client.invoke())["Payload"])["event"] == {}


async def test_a_failing_function_is_a_200_with_a_function_error(client: Client) -> None:
    answer = await client.invoke(Payload=b'"raise"')
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"])["errorType"] == "ValueError"


async def test_a_dry_run_runs_nothing(client: Client, emulator: Emulator) -> None:
    answer = await client.invoke(InvocationType="DryRun", Payload=b"{}")
    assert answer["StatusCode"] == 204
    assert emulator.lines == []


async def test_an_event_is_accepted_and_runs(client: Client, emulator: Emulator) -> None:
    answers = [
        await client.invoke(InvocationType="Event", Payload=json.dumps(i).encode())
        for i in range(5)
    ]
    assert [answer["StatusCode"] for answer in answers] == [202] * 5
    await until(lambda: all(emulator.printed(f"seen {i}") for i in range(5)))


async def test_an_unknown_function(client: Client) -> None:
    error = await client.refused(name="nope")
    assert error.response["Error"]["Code"] == "ResourceNotFoundException"
    assert error.response["Error"]["Message"].startswith("Function not found: arn:aws:lambda:")
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.parametrize(
    ("kind", "size"),
    [("RequestResponse", REQUEST_MAX + 1), ("Event", ASYNC_REQUEST_MAX + 1)],
)
async def test_a_payload_over_the_limit(
    client: Client, emulator: Emulator, kind: str, size: int
) -> None:
    payload = b'"' + b"x" * (size - 2) + b'"'
    error = await client.refused(InvocationType=kind, Payload=payload)
    assert error.response["Error"]["Code"] == "RequestTooLargeException"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert emulator.lines == []


async def test_a_payload_over_the_limit_without_a_length(client: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(7):
            yield b"x" * 1024 * 1024

    url = f"{client.url}/2015-03-31/functions/fn/invocations"
    async with aiohttp.ClientSession() as session, session.post(url, data=pieces()) as answer:
        assert answer.status == 413
        assert answer.headers["x-amzn-ErrorType"] == "RequestTooLargeException"


async def test_too_many_at_once(holding: Client, emulator: Emulator) -> None:
    event = emulator.held("a")
    payload = json.dumps(event).encode()
    running = asyncio.create_task(holding.invoke(Payload=payload))
    await begun(event)
    error = await holding.refused(Payload=payload)
    assert error.response["Error"]["Code"] == "TooManyRequestsException"
    assert error.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    let_go(event)
    assert (await running)["StatusCode"] == 200


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"Payload": b"{"}, "InvalidRequestContentException"),
        ({"ClientContext": "%%%"}, "InvalidRequestContentException"),
        ({"ClientContext": base64.b64encode(b"[]").decode()}, "InvalidRequestContentException"),
        ({"ClientContext": "A" * 3600}, "InvalidRequestContentException"),
    ],
)
async def test_a_malformed_request(client: Client, arguments: dict[str, Any], code: str) -> None:
    error = await client.refused(**arguments)
    assert error.response["Error"]["Code"] == code
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400


async def test_a_function_that_is_closed(client: Client, emulator: Emulator) -> None:
    await emulator.aclose()
    error = await client.refused(Payload=b"{}")
    assert error.response["Error"]["Code"] == "ServiceException"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500
