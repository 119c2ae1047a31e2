"""Functions behind their URLs: signed and not, with a gateway in front that they dial back to."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from gateway.errors import FunctionFailed, FunctionUnreachable, InvokeNotSent
from gateway.invoke.aws.function_url import FunctionUrl
from gateway.invoke.aws.http import HttpClient
from gateway.invoke.base import HttpCall, Invocation
from gateway.targets import UrlTarget
from tests.gateway.invoke.aws.api import KEY, SECRET, Seen, checking
from tests.gateway.invoke.aws.test_function import account
from tests.gateway.invoke.aws.url_server import function_url
from tests.patience import PATIENCE
from tests.system.running import free_port, running_dialback

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.headers import HeaderList
    from tests.gateway.invoke.emulated import Emulator

ECHO = """
def handler(event, context):
    if event["rawPath"] == "/raises":
        raise ValueError("no luck")
    return {
        "statusCode": 418,
        "cookies": ["a=1", "b=2"],
        "headers": {"content-type": "text/x-echo", "x-two": "1"},
        "body": __import__("json").dumps(event),
    }
"""
HEADERS: HeaderList = (
    (b"host", b"shop.example"),
    (b"accept", b"a"),
    (b"accept", b"b"),
    (b"authorization", b"Bearer theirs"),
    (b"cookie", b"k=v"),
    (b"x-forwarded-for", b"198.51.100.7"),
)


def call(
    method: str = "POST", path: str = "/a%2Fb/c", query: str = "x=1&y=a%20b", body: bytes = b"{}"
) -> Invocation:
    made = HttpCall(method, path, query, HEADERS, body)
    context = b'{"custom": {"dialback": {"v": 1, "token": "t"}}}'
    return Invocation(event=b"", client_context=context, timeout=PATIENCE, call=made)


async def echoed(url: str, invocation: Invocation, *, signed: bool) -> dict[str, Any]:
    with closing(HttpClient()) as client:
        target = UrlTarget(url, signed=signed)
        owner = account(token="s3ss/ion+=") if signed else None
        result = await FunctionUrl(target, "eu-west-1", owner, client).invoke(invocation)
    assert result.response is not None
    assert result.response.status == 418
    cookies = [value for name, value in result.response.headers if name == b"set-cookie"]
    assert cookies == [b"a=1", b"b=2"]
    event: dict[str, Any] = json.loads(result.response.body)
    return event


async def test_a_request_passes_as_it_is(emulator: Emulator) -> None:
    async with function_url(emulator.function(ECHO)) as url:
        event = await echoed(url, call(query="q=a+b&raw='x'"), signed=False)
    assert event["requestContext"]["http"]["method"] == "POST"
    assert (event["rawPath"], event["rawQueryString"]) == ("/a%2Fb/c", "q=a+b&raw='x'")
    headers = event["headers"]
    assert headers["accept"] == "a,b"
    assert headers["authorization"] == "Bearer theirs"
    assert headers["x-forwarded-for"].startswith("198.51.100.7")
    assert headers["x-forwarded-host"] == "shop.example"
    assert json.loads(headers["x-dialback"]) == {"v": 1, "token": "t"}
    assert event["cookies"] == ["k=v"]
    assert "user-agent" not in headers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/", ""),
        ("/a%2Fb/c", "x=1&y=a%20b"),
        ("/a b".replace(" ", "%20"), "q=a+b&raw='x'&empty=&z=%C3%A4&a=2&a=1"),
        ("/p//q/../r;s=1", "no-value"),
    ],
)
async def test_signatures_hold_on_the_other_side(
    emulator: Emulator, method: str, path: str, query: str
) -> None:
    seen = Seen()
    guard = checking(seen, token="s3ss/ion+=")
    async with function_url(emulator.function(ECHO), guard) as url:
        event = await echoed(url, call(method, path, query), signed=True)
    assert event["rawPath"] == path
    assert event["headers"]["x-forwarded-authorization"] == "Bearer theirs"
    assert event["headers"]["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={KEY}/")
    assert SECRET not in json.dumps(event)


async def test_a_refused_signature_is_ours_to_mend(emulator: Emulator) -> None:
    async with function_url(emulator.function(ECHO), checking(Seen(), secret="other")) as url:
        with pytest.raises(FunctionUnreachable, match="403 InvalidSignatureException"):
            await echoed(url, call(), signed=True)


async def test_a_function_that_raises_is_the_answer_of_its_url(emulator: Emulator) -> None:
    async with function_url(emulator.function(ECHO)) as url:
        target = UrlTarget(url, signed=False)
        with closing(HttpClient()) as client:
            result = await FunctionUrl(target, "", None, client).invoke(call(path="/raises"))
    assert result.response is not None
    assert (result.response.status, result.response.body) == (502, b"Internal Server Error")


async def test_nobody_listens_and_nothing_ran() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = UrlTarget(f"http://127.0.0.1:{taken.getsockname()[1]}", signed=False)
        with closing(HttpClient()) as client, pytest.raises(InvokeNotSent):
            await FunctionUrl(target, "", None, client).invoke(call())


async def test_what_is_no_http_request_cannot_be_sent() -> None:
    with closing(HttpClient()) as client:
        function = FunctionUrl(UrlTarget("http://127.0.0.1:1", signed=False), "", None, client)
        with pytest.raises(FunctionFailed, match="only HTTP requests"):
            await function.invoke(Invocation(event=b"{}", client_context=None, timeout=1.0))


# ---------------------------------------------------------------- with a gateway in front

STREAM = """
from lambda_client import streaming

@streaming
def handler(event, context):
    assert "x-dialback" not in event["headers"]
    yield {"statusCode": 200, "headers": {"content-type": "text/plain"}}
    for number in range(100):
        yield f"{number}," * 1000
"""
WHOLE = "".join(f"{number}," * 1000 for number in range(100)).encode()


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_gateway_in_front_streams_if_the_function_allows_it(
    emulator: Emulator, tmp_path: Path, *, allowed: bool
) -> None:
    port = free_port()
    callback = f"ws://127.0.0.1:{port}"
    env = {"DIALBACK_ALLOWED_URLS": f"wss://other.example,{callback}/"} if allowed else {}
    async with function_url(emulator.function(STREAM, env=env)) as url:
        file = tmp_path / "dialback.toml"
        file.write_text(f'[[routes]]\npath = "/"\ntarget = "function_url:{url}"\n')

        def ask() -> tuple[bytes, float]:
            listen = {"DIALBACK_CALLBACK": f"127.0.0.1:{port}"}
            with running_dialback("--config", file, command="serve", env=listen) as front:
                with urlopen(f"{front.url}/x?y=1", timeout=PATIENCE) as answer:
                    body = answer.read()
                return body, front.metric("dialback_data_frames_total", route="/")

        body, frames = await asyncio.to_thread(ask)
    assert body == WHOLE
    assert (frames > 0) is allowed


async def test_a_client_cannot_name_a_callback_of_its_own(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with function_url(emulator.function(ECHO)) as url:
        file = tmp_path / "dialback.toml"
        file.write_text(f'[[routes]]\npath = "/"\ntarget = "function_url:{url}"\n')

        def ask() -> Any:
            with running_dialback("--config", file, command="serve") as front:
                request = Request(
                    front.url, headers={"X-Dialback": '{"v": 1, "urls": ["ws://evil"]}'}
                )
                with pytest.raises(HTTPError) as caught:
                    urlopen(request, timeout=PATIENCE)
                with caught.value as answer:
                    return json.loads(answer.read())

        event = await asyncio.to_thread(ask)
    assert "evil" not in event["headers"]["x-dialback"]
