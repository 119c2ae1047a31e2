"""What one gets by ``pip install``: on every Python here, with nothing but what was asked for.

The wheel is built from these sources; its dependencies are what is installed, packed again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import interpreters
from tests.commands import output_of
from tests.lambda_client.gateway import Gateway, receipt_of
from tests.packing import ROOT, offline, ours, pack_all, pack_library

if TYPE_CHECKING:
    from pathlib import Path

HANDLER = """
import json, sys, types
from lambda_client import streaming

@streaming
def handler(event, context):
    yield {"statusCode": 201, "headers": {"content-type": "text/plain"}}
    yield from ("x" * 50_000 for _ in range(3))

def context(custom):
    return types.SimpleNamespace(client_context=types.SimpleNamespace(custom=custom))

event = {"version": "2.0", "requestContext": {"http": {"method": "GET", "path": "/"}}}
print(json.dumps({
    "alone": handler(event, context(None)),
    "streamed": handler(event, context({"dialback": json.loads(sys.argv[1])})),
    "python": "{}.{}".format(*sys.version_info),
}))
"""

BASE = {"dialback", "msgpack", "websockets"}
HTTP = {"aiohappyeyeballs", "aiohttp", "aiosignal", "attrs", "frozenlist", "idna", "multidict"}
EXTRAS = {
    "gateway": HTTP | {"msgspec", "prometheus_client", "propcache", "six", "transitions", "yarl"},
    "local": {"awslambdaric", "simplejson", "snapshot-restore-py", "watchfiles", "anyio", "idna"},
    "aws": {"botocore", "jmespath", "python-dateutil", "six", "urllib3"},
    "speedups": {"uvloop", "zlib-ng"},
}
"""What each extra brings, to the last distribution."""

BACKPORTS = {"typing_extensions"}
"""What older Pythons want beside."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=30,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base dependencies without their compiled parts: they run on every Python."""
    return pack_library(tmp_path_factory.mktemp("pure"), pure=True)


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Return what a command prints that knows nothing of these sources."""
    return output_of(*command, env={"PYTHONPATH": "", **(env or {})})


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_the_decorator_answers(version: str, wheel: Path, pure: Path, tmp_path: Path) -> None:
    if version not in interpreters.found():
        pytest.skip(f"Python {version} is not on this machine")
    run(interpreters.found()[version], "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", wheel, env=offline(pure))
    assert {one["name"] for one in json.loads(run(*pip, "list", "--format=json"))} == BASE
    with Gateway() as gateway:
        exchange = gateway.exchange()
        envelope = json.dumps(exchange.envelope.to_json())
        said = json.loads(run(python, "-W", "error", "-c", HANDLER, envelope))
        assert receipt_of(said["streamed"]).final == len(exchange.body) == 150_000
    assert said["python"] == version
    assert (said["alone"]["statusCode"], len(said["alone"]["body"])) == (201, 150_000)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("everything")
    pack_all(ours(*EXTRAS), folder)
    return folder


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_it_says_and_no_more(
    extra: str, wheel: Path, everything: Path
) -> None:
    options = ("--quiet", "--dry-run", "--ignore-installed", "--report", "-")
    pip = (sys.executable, "-m", "pip", "install", *options)
    report = json.loads(run(*pip, f"{wheel}[{extra}]", env=offline(everything)))
    brought = {one["metadata"]["name"] for one in report["install"]}
    assert brought - BASE - BACKPORTS == EXTRAS[extra]
