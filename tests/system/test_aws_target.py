"""Functions that are called by the Invoke API: one gateway in front, another as the AWS behind it.

The second one's emulated Lambda stands for the region: real signed HTTP calls, real functions, which
dial back to the first.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.patience import PATIENCE
from tests.system.running import eventually, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.running import Dialback

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
    "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}

FUNCTIONS = """
import json
from lambda_client import request_body, streaming

@streaming
def aware(event, context):
    yield {"statusCode": 200, "headers": {"content-type": "application/octet-stream"}}
    for number in range(100):
        yield bytes([number]) * 10_000

@streaming
def digest(event, context):
    import hashlib
    found = hashlib.sha256()
    for chunk in request_body(event):
        found.update(chunk)
    yield found.hexdigest()

def mixed(event, context):
    # Old code and new behind one name, as while an alias is being moved.
    return (aware if "new" in event["rawQueryString"] else unaware)(event, context)

def unaware(event, context):
    return {"statusCode": 201, "headers": {"x-kind": "unaware"}, "body": event["rawPath"]}
"""


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dialback]:
    file = tmp_path_factory.mktemp("functions") / "app.py"
    file.write_text(FUNCTIONS)
    with running_dialback(
        *(f"--route=/{name}={file}:{name}" for name in ("aware", "digest", "unaware", "mixed"))
    ) as dialback:
        yield dialback


@pytest.fixture(scope="module")
def front(region: Dialback, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dialback]:
    with running_dialback(
        "--config",
        configuration(tmp_path_factory.mktemp("front"), region.admin_url),
        command="serve",
        env=CREDENTIALS,
    ) as dialback:
        yield dialback


def configuration(directory: Path, endpoint: str) -> Path:
    tables = [
        f"""
        [[routes]]
        path = "/{name}"
        target = "aws:app-{name}"
        endpoint = "{endpoint}"
        request_body = "{"stream" if name == "digest" else "inline"}"
        """
        for name in ("aware", "digest", "unaware", "mixed", "gone")
    ]
    file = directory / "dialback.toml"
    file.write_text("\n".join(line.strip() for line in "".join(tables).splitlines()))
    return file


def test_a_function_on_aws_streams_through_the_gateway_in_front(front: Dialback) -> None:
    before = front.metric("dialback_data_frames_total", route="/aware")
    for _ in range(2):  # the second one on a parked callback
        with urlopen(f"{front.url}/aware", timeout=PATIENCE) as answer:
            body = answer.read()
        assert body == b"".join(bytes([number]) * 10_000 for number in range(100))
    assert front.metric("dialback_data_frames_total", route="/aware") > before
    # The client has its end before the function returns.
    eventually(
        lambda: front.metric("dialback_invokes_total", route="/aware", result="receipt") == 2
    )


def test_an_upload_beyond_what_an_invoke_carries_reaches_it(front: Dialback) -> None:
    body = hashlib.sha256(b"seed").digest() * (7 * 1024 * 1024 // 32)
    request = Request(f"{front.url}/digest", data=body, method="POST")
    with urlopen(request, timeout=PATIENCE) as answer:
        assert answer.read().decode() == hashlib.sha256(body).hexdigest()


def test_an_unaware_function_answers_as_ever(front: Dialback) -> None:
    with urlopen(f"{front.url}/unaware/x%20y", timeout=PATIENCE) as answer:
        assert (answer.status, answer.headers["x-kind"]) == (201, "unaware")
        assert answer.read() == b"/unaware/x%20y"


def test_aware_and_unaware_mix_on_one_route(front: Dialback) -> None:
    def ask(kind: str) -> tuple[int, int]:
        with urlopen(f"{front.url}/mixed?{kind}", timeout=PATIENCE) as answer:
            return answer.status, len(answer.read())

    kinds = ["new", "old", "old", "new"] * 10
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, kinds))
    assert answers == [(200, 1_000_000) if kind == "new" else (201, 6) for kind in kinds]
    invoked = "dialback_invokes_total"
    eventually(lambda: front.metric(invoked, route="/mixed", result="receipt") == 20)
    assert front.metric(invoked, route="/mixed") == 40


def test_a_function_that_is_not_there_is_502_and_the_log_says_why(front: Dialback) -> None:
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{front.url}/gone", timeout=PATIENCE)
    with caught.value as refused:
        assert refused.code == 502
        assert "could not be invoked" in json.loads(refused.read())["error"]
    eventually(lambda: "404 ResourceNotFoundException Function not found" in front.stderr)


def test_no_secret_is_in_the_logs(front: Dialback) -> None:
    printed = front.stdout + front.stderr
    assert "secret-of-the-test" not in printed
    assert "AWS4-HMAC" not in printed
