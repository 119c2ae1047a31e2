"""Functions of AWS, through the real code path: botocore's signer, a real socket, the Invoke API."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from aiohttp import web
from botocore.awsrequest import AWSResponse
from botocore.loaders import create_loader
from botocore.session import Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import (
    FunctionFailed,
    FunctionUnreachable,
    InvokeNotSent,
    RequestBodyTooLarge,
    Throttled,
)
from gateway.invoke.aws.account import Account
from gateway.invoke.aws.address import invoke_url
from gateway.invoke.aws.answer import ANSWER_MAX
from gateway.invoke.aws.function import AwsFunction
from gateway.invoke.aws.http import HttpClient
from gateway.invoke.base import Invocation, InvokeOutcomeUnknown
from gateway.invoke.event import build_event
from gateway.invoke.local.invoke_api import INVOKE_PATH, InvokeApi
from gateway.targets import AwsTarget
from tests.gateway.invoke.aws.api import KEY, SECRET, Seen, checking
from tests.gateway.invoke.requests import edge_request
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.invoke.emulated import Emulator

ECHO = """
def handler(event, context):
    if event == "raise":
        raise ValueError("no luck")
    client = context.client_context
    return {"event": event, "custom": client and client.custom, "trace": __import__("os").environ.get("_X_AMZN_TRACE_ID")}
"""


def account(*, secret: str = SECRET, token: str | None = None) -> Account:
    session = Session()
    session.set_credentials(KEY, secret, token)
    return Account(session)


@asynccontextmanager
async def api(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def function(
    url: str, name: str = "fn", owner: Account | None = None
) -> AsyncIterator[AwsFunction]:
    with closing(HttpClient()) as client:
        yield AwsFunction(AwsTarget.parse(name), "eu-west-1", url, owner or account(), client)


def invocation(event: Any = None, **fields: Any) -> Invocation:
    values = {"client_context": None, "timeout": PATIENCE, **fields}
    return Invocation(event=json.dumps(event).encode(), **values)


@pytest.mark.parametrize(
    "name",
    ["fn", "fn:live", "fn:$LATEST", "arn:aws:lambda:eu-west-1:000000000000:function:fn:live"],
)
async def test_a_signed_call_of_the_emulated_lambda(emulator: Emulator, name: str) -> None:
    served, seen = InvokeApi({"fn": emulator.function(ECHO)}), Seen()
    app = web.Application(middlewares=[checking(seen, token="s3ss/ion+=")], client_max_size=2**24)
    app.router.add_post(INVOKE_PATH, served.handle)
    context = json.dumps({"custom": {"dialback": {"v": 1}}}).encode()
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    async with api(app) as url, function(url, name, account(token="s3ss/ion+=")) as aws:
        result = await aws.invoke(invocation({"a": "é"}, client_context=context, trace_id=trace))
        failed = await aws.invoke(invocation("raise"))
    assert result.function_error is None and len(result.request_id) == 36
    assert json.loads(result.payload) == {
        "event": {"a": "é"},
        "custom": {"dialback": {"v": 1}},
        "trace": trace,
    }
    assert failed.function_error == "Unhandled"
    assert json.loads(failed.payload)["errorType"] == "ValueError"
    assert seen.tokens == ["s3ss/ion+="] * 2
    await served.aclose()


async def test_the_clients_authorization_is_the_functions_and_the_call_is_signed_by_us(
    emulator: Emulator,
) -> None:
    theirs = "AWS4-HMAC-SHA256 Credential=AKIATHEIRS/20260101/eu-west-1/lambda/aws4_request, Signature=00"
    request = edge_request((b"host", b"example.com"), (b"authorization", theirs.encode()))
    event = build_event(request, exchange_id="id", body=None, now=0)
    served, seen = InvokeApi({"fn": emulator.function(ECHO)}), Seen()
    app = web.Application(middlewares=[checking(seen)])
    app.router.add_post(INVOKE_PATH, served.handle)
    async with api(app) as url, function(url) as aws:
        result = await aws.invoke(invocation(json.loads(event), trace_id=request.trace_id))
    returned = json.loads(result.payload)
    assert returned["event"]["headers"]["authorization"] == theirs
    assert "authorizer" not in returned["event"]["requestContext"]
    assert returned["trace"].startswith(request.trace_id)
    await served.aclose()


async def test_a_wrong_secret_is_refused_and_nothing_ran() -> None:
    app = web.Application(middlewares=[checking(Seen())])
    async with api(app) as url, function(url, owner=account(secret="wrong")) as aws:
        with pytest.raises(
            FunctionUnreachable, match="403 InvalidSignatureException The signature"
        ):
            await aws.invoke(invocation())


AWS_FILES = create_loader()
"""botocore's descriptions of AWS: read once for all clients, which else takes most of a test's time."""


class Oracle:
    """What an unmodified botocore client sends for the same call; nothing leaves the process."""

    def __init__(self, token: str | None) -> None:
        self._sent: Any = None
        session = Session()
        session.register_component("data_loader", AWS_FILES)
        session.set_credentials(KEY, SECRET, token)
        self._client = session.create_client(
            "lambda", region_name="eu-west-1", endpoint_url="http://127.0.0.1:1"
        )
        self._client.meta.events.register("before-send.lambda.Invoke", self._catch)

    def _catch(self, request: Any, **_: Any) -> Any:
        self._sent = request
        return AWSResponse(request.url, 202, {}, _Empty())

    def request(self, **arguments: Any) -> Any:
        self._client.invoke(**arguments)
        return self._sent

    def close(self) -> None:
        self._client.close()


class _Empty:
    def stream(self) -> list[bytes]:
        return [b"{}"]

    def read(self, *_: object) -> bytes:
        return b"{}"


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
REFERENCES = st.one_of(
    NAMES,
    NAMES.map(lambda name: f"arn:aws:lambda:eu-west-1:123456789012:function:{name}"),
    NAMES.map(lambda name: f"123456789012:function:{name}"),
)
QUALIFIERS = st.one_of(
    st.none(), st.just("$LATEST"), st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)
)
TOKENS = st.one_of(
    st.none(), st.text("abc/+=%. 0", min_size=1, max_size=40).map(str.strip).filter(bool)
)


@given(name=REFERENCES, qualifier=QUALIFIERS, token=TOKENS, body=st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_url_and_signature_are_botocores(
    name: str, qualifier: str | None, token: str | None, body: bytes
) -> None:
    oracle = Oracle(token)
    more = {} if qualifier is None else {"Qualifier": qualifier}
    expected = oracle.request(FunctionName=name, Payload=body, **more)
    oracle.close()
    text = name if qualifier is None else f"{name}:{qualifier}"
    url = invoke_url(AwsTarget.parse(text), "http://127.0.0.1:1")
    assert url == expected.url
    signed = signed_alike(expected, url, body, token)
    assert signed["Authorization"] == expected.headers["Authorization"].decode()


def signed_alike(expected: Any, url: str, body: bytes, token: str | None) -> dict[str, str]:
    """Sign with our code what botocore signed, at the same second."""
    named = expected.headers["Authorization"].decode().partition("SignedHeaders=")[2]
    names = named.partition(",")[0].split(";")
    ours = {"host", "x-amz-date", "x-amz-security-token"}
    headers = {
        name: value.decode() if isinstance(value := expected.headers[name], bytes) else value
        for name in names
        if name not in ours
    }
    with at(expected.headers["X-Amz-Date"].decode()):
        return asyncio.run(account(token=token).sign(url, headers, body, region="eu-west-1"))


def at(stamp: str) -> Any:
    """Stop botocore's clock at `stamp`."""
    moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: moment)


# ---------------------------------------------------------------- what AWS answers


def canned(
    status: int, kind: str | None, body: bytes = b"{}", headers: dict[str, str] | None = None
) -> web.Application:
    async def answer(_: web.Request) -> web.Response:
        more = {} if kind is None else {"x-amzn-ErrorType": kind}
        return web.Response(status=status, body=body, headers={**more, **(headers or {})})

    app = web.Application()
    app.router.add_post(INVOKE_PATH, answer)
    return app


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "InvalidParameterValueException", FunctionUnreachable),
        (403, "AccessDeniedException", FunctionUnreachable),
        (403, "ExpiredTokenException:http://internal.amazon.com/", FunctionUnreachable),
        (404, "ResourceNotFoundException", FunctionUnreachable),
        (409, "SnapStartNotReadyException", FunctionUnreachable),
        (413, "RequestTooLargeException", RequestBodyTooLarge),
        (429, "TooManyRequestsException", Throttled),
        (429, None, Throttled),
        (502, "EC2ThrottledException", Throttled),
        (502, "KMSDisabledException", FunctionUnreachable),
        (502, "ENILimitReachedException", FunctionUnreachable),
        (500, "ServiceException", InvokeOutcomeUnknown),
        (503, None, InvokeOutcomeUnknown),
        (504, None, InvokeOutcomeUnknown),
        (302, None, FunctionUnreachable),
    ],
)
async def test_what_an_error_proves(status: int, kind: str | None, expected: type) -> None:
    body = b'{"Message": "' + b"m" * 1000 + b'"}'
    headers = {"Location": "http://127.0.0.1:1/"} if status == 302 else {}
    async with api(canned(status, kind, body, headers)) as url, function(url) as aws:
        with pytest.raises(expected) as caught:
            await aws.invoke(invocation())
    assert str(caught.value).startswith(f"fn: {status}")
    assert len(str(caught.value)) < 400


async def test_retry_after_is_passed_on_within_reason() -> None:
    for told, expected in (("7", 7), ("9999", 60), ("soon", None)):
        async with (
            api(canned(429, None, headers={"Retry-After": told})) as url,
            function(url) as aws,
        ):
            with pytest.raises(Throttled) as caught:
                await aws.invoke(invocation())
        assert caught.value.retry_after == expected


async def test_an_answer_beyond_lambdas_limit_is_not_read_to_its_end() -> None:
    async with api(canned(200, None, b"x" * (ANSWER_MAX + 1))) as url, function(url) as aws:
        with pytest.raises(FunctionFailed, match="more than"):
            await aws.invoke(invocation())


async def test_nobody_listens_and_nothing_ran() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with function(f"http://127.0.0.1:{taken.getsockname()[1]}") as aws:
            with pytest.raises(InvokeNotSent, match="was not reached"):
                await aws.invoke(invocation())


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("behave", [cut, keep_silent, half_an_answer])
async def test_a_leg_that_breaks_after_the_call_was_sent_proves_nothing(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    calls = 0
    over = asyncio.Event()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await behave(reader, writer)
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        over.set()

    server = await asyncio.start_server(count, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, function(f"http://{host}:{port}") as aws:
        with pytest.raises(InvokeOutcomeUnknown):
            await aws.invoke(invocation(timeout=0.3))
        await over.wait()
    assert calls == 1


async def test_connections_are_reused_and_watched() -> None:
    peers = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(body=b"{}")

    app = web.Application()
    app.router.add_post(INVOKE_PATH, answer)
    async with api(app) as url:
        with closing(HttpClient()) as client:
            aws = AwsFunction(AwsTarget.parse("fn"), "eu-west-1", url, account(), client)
            for _ in range(3):
                await aws.invoke(invocation())
            (kept,) = client.origin(url).idle
            assert kept._transport is not None
            raw = kept._transport.get_extra_info("socket")
            options = [
                raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            ]
    assert len(peers) == 1
    assert options == [1, 30]
