"""The Lambda layer: small, the same every time, and all that a function needs.

Its wheels come through pip; here pip finds them in a folder: what is installed, packed again.
"""

from __future__ import annotations

import json
import platform
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.commands import output_of
from tests.lambda_client.gateway import Gateway, receipt_of
from tests.packing import offline, pack_library
from tests.system.running import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SIZE_MAX = 800 * 1024
ARCH = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]

# Nothing but the standard library and the layer is on the path.
FUNCTION = """
import json, sys, time, types
sys.path.append(sys.argv[1])
from lambda_client import asgi

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(3):
        await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": number < 2})

event = {"requestContext": {"http": {"method": "GET"}}}
custom = {"dialback": json.loads(sys.argv[2])}
context = types.SimpleNamespace(client_context=types.SimpleNamespace(custom=custom))
answer = asgi(app)(event, context)
outside = [
    name
    for name, module in sys.modules.items()
    if "-packages" in (getattr(module, "__file__", None) or "")
]
import msgpack, websockets.speedups
print(json.dumps([answer, outside, msgpack.Packer.__module__, websockets.speedups.__file__]))
"""


def build(folder: Path, wheels: Path) -> Path:
    script = str(REPOSITORY / "deploy/layer.py")
    flags = ("--arch", ARCH, "--out", folder)
    said = output_of(sys.executable, script, *flags, env=offline(wheels))
    (layer,) = folder.iterdir()
    assert str(layer) in said
    return layer


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_library(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    return build(tmp_path_factory.mktemp("layer"), wheels)


def test_it_is_small(layer: Path) -> None:
    assert layer.stat().st_size <= SIZE_MAX


def test_it_holds_what_a_function_needs_and_nothing_else(layer: Path) -> None:
    with zipfile.ZipFile(layer) as archive:
        names = archive.namelist()
    packages = {name.split("/")[1] for name in names if ".dist-info/" not in name}
    assert packages == {"lambda_client", "protocol", "websockets", "msgpack"}
    assert all(name.startswith("python/") for name in names)
    assert not [name for name in names if name.endswith((".c", ".pyc", ".toml", ".json", ".md"))]
    assert sum(name.endswith(("/LICENSE", "/COPYING")) for name in names) == 3


def test_it_is_the_same_again(layer: Path, wheels: Path, tmp_path: Path) -> None:
    again = build(tmp_path, wheels)
    assert again.read_bytes() == layer.read_bytes()


def test_a_function_streams_with_nothing_but_the_layer(layer: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(layer) as archive:
        archive.extractall(tmp_path)
    with Gateway() as gateway:
        exchange = gateway.exchange()
        arguments = [str(tmp_path / "python"), json.dumps(exchange.envelope.to_json())]
        said = output_of(sys.executable, "-I", "-S", "-c", FUNCTION, *arguments)
        answer, outside, packer, speedups = json.loads(said)
        assert receipt_of(answer).final == 150_000
        assert exchange.body == b"x" * 150_000
    assert outside == []
    assert packer == "msgpack._cmsgpack"
    assert speedups.startswith(str(tmp_path))
