from __future__ import annotations

import json
import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, Mock

import pytest
from awslambdaric.lambda_context import LambdaContext

from lambda_client.invocation import read_invocation
from protocol.envelope import Envelope

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lambda_client.gateway import Gateway

ENVELOPE = Envelope(
    xid="0" * 31 + "1", inv=1, urls=("ws://gateway",), token="secret", window=1, max_frame=4096
)


def lambda_context(custom: dict[str, Any] | None) -> Any:
    return LambdaContext("id", {"custom": custom, "env": {}}, None, 4_102_444_800_000, "arn")


def test_the_envelope_is_read_and_taken_away() -> None:
    context = lambda_context({"dialback": ENVELOPE.to_json(), "theirs": 1})
    invocation = read_invocation({}, context, now=5.0)
    assert invocation.envelope == ENVELOPE
    assert context.client_context.custom == {"theirs": 1}
    assert "secret" not in repr(context)
    assert "secret" not in repr(invocation)


@pytest.mark.parametrize(
    "context",
    [
        None,
        object(),
        SimpleNamespace(client_context=None),
        lambda_context(None),
        lambda_context({}),
        Mock(),
        MagicMock(),
    ],
    ids=lambda context: type(context).__name__,
)
def test_any_object_may_be_a_context(context: object) -> None:
    assert read_invocation({}, context, now=0.0).envelope is None


def test_the_deadline_is_on_the_callers_clock() -> None:
    def called(**known: Any) -> Any:
        custom = {"dialback": ENVELOPE.to_json()}
        return SimpleNamespace(client_context=SimpleNamespace(custom=custom), **known)

    context = called(get_remaining_time_in_millis=lambda: 3000)
    invocation = read_invocation({}, context, now=100.0)
    assert (invocation.remaining, invocation.deadline) == (3.0, 103.0)
    assert read_invocation({}, called(), now=100.0).deadline is None


def by_url(value: object) -> dict[str, Any]:
    return {"headers": {"x-dialback": value, "accept": "*/*"}}


@pytest.mark.parametrize("allowed", ["ws://gateway", "wss://other, ws://gateway/".replace(" ", "")])
def test_a_function_url_hands_the_envelope_in_a_header(
    monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    monkeypatch.setenv("DIALBACK_ALLOWED_URLS", allowed)
    event = by_url(json.dumps(ENVELOPE.to_json()))
    assert read_invocation(event, None, now=0.0).envelope == ENVELOPE
    assert event == {"headers": {"accept": "*/*"}}


@pytest.mark.parametrize("allowed", [None, "", "ws://other", "ws://gateway.evil", "ws://gate"])
def test_but_only_for_urls_that_the_function_allows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, allowed: str | None
) -> None:
    monkeypatch.delenv("DIALBACK_ALLOWED_URLS", raising=False)
    if allowed is not None:
        monkeypatch.setenv("DIALBACK_ALLOWED_URLS", allowed)
    event = by_url(json.dumps(ENVELOPE.to_json()))
    assert read_invocation(event, None, now=0.0).envelope is None
    assert event == {"headers": {"accept": "*/*"}}
    assert "DIALBACK_ALLOWED_URLS does not name" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("value", ["", "no json", "[" * 100_000, "1", "{}", 7, None])
def test_any_header_of_that_name_is_survived(
    monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    monkeypatch.setenv("DIALBACK_ALLOWED_URLS", "ws://gateway")
    assert read_invocation(by_url(value), None, now=0.0).envelope is None


@pytest.mark.parametrize("event", [None, [], "text", {}, {"headers": None}, {"headers": []}])
def test_any_event_is_survived(event: object) -> None:
    assert read_invocation(event, None, now=0.0).envelope is None


def test_a_bad_envelope_is_logged_and_answered_buffered(caplog: pytest.LogCaptureFixture) -> None:
    broken = {**ENVELOPE.to_json(), "urls": []}
    with caplog.at_level(logging.WARNING, "dialback"):
        invocation = read_invocation({}, lambda_context({"dialback": broken}), now=0.0)
    assert invocation.envelope is None
    assert "urls" in caplog.text
    assert "secret" not in caplog.text


# ---------------------------------------------------------------- what an import brings


def run(code: str, *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter; the current directory comes first on its path."""
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def imported(stderr: str) -> set[str]:
    """The modules that `-X importtime` lists."""
    lines = [line for line in stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip() for line in lines}


HEAVY = {"asyncio", "websockets", "ssl", "aiohttp", "msgpack", "http.client", "socket"}


def test_importing_the_library_brings_nothing_heavy() -> None:
    done = run("import lambda_client")
    assert done.returncode == 0
    assert "lambda_client" in imported(done.stderr)
    assert not imported(done.stderr) & HEAVY


def test_a_handler_in_lambda_brings_in_init_all_that_its_streams_need() -> None:
    code = "import lambda_client; lambda_client.streaming(lambda event, context: ...)"
    assert not imported(run(code).stderr) & HEAVY
    done = run(f"import os; os.environ['AWS_LAMBDA_RUNTIME_API'] = '127.0.0.1:9001'; {code}")
    assert done.returncode == 0
    needed = {"websockets.client", "msgpack", "lambda_client.session", "lambda_client.address"}
    assert needed <= imported(done.stderr)


def test_a_buffered_answer_brings_nothing_heavy() -> None:
    code = """
from lambda_client import streaming
handler = streaming(lambda event, context: iter(["a"]))
assert handler({}, None)["body"] == "a"
"""
    done = run(code)
    assert done.returncode == 0, done.stderr[-500:]
    assert not imported(done.stderr) & HEAVY


def test_an_answer_that_needs_no_socket_brings_no_socket(gateway: Gateway) -> None:
    envelope = json.dumps(gateway.exchange().envelope.to_json())
    code = f"""
import json
from types import SimpleNamespace
from lambda_client import streaming
context = SimpleNamespace(
    client_context=SimpleNamespace(custom={{"dialback": json.loads({envelope!r})}})
)
handler = streaming(lambda event, context: {{"statusCode": 200, "body": "small"}})
assert handler({{}}, context)["dialback"]["status"] == "end"
"""
    done = run(code)
    assert done.returncode == 0, done.stderr[-500:]
    assert not imported(done.stderr) & (HEAVY - {"msgpack"})
    assert not gateway.requests


@pytest.mark.parametrize("shadow", ["protocol.py", "protocol/__init__.py"])
def test_a_module_that_shadows_ours_is_named(tmp_path: Path, shadow: str) -> None:
    file = tmp_path / shadow
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    done = run("import lambda_client", cwd=tmp_path)
    assert done.returncode == 1
    assert f"{file} has the same name" in done.stderr
