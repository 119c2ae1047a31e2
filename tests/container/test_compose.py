"""The compose file: valid, and its two commands work together, with names of this machine in place of theirs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import check_jsonschema
import jsonschema
import pytest
import yaml

from tests.container.dockerfile import inspect
from tests.packing import ROOT
from tests.patience import PATIENCE
from tests.system.running import COMMAND, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = ROOT / "deploy/container"
SCHEMA = Path(check_jsonschema.__file__).parent / "builtin_schemas/vendor/compose-spec.json"

Compose = dict[str, Any]


@pytest.fixture(scope="module")
def compose() -> Compose:
    found: Compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return found


def test_it_is_valid(compose: Compose) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(compose)


@pytest.mark.parametrize("service", ["gateway", "lambda"])
def test_what_it_names_is_there(compose: Compose, service: str) -> None:
    build = compose["services"][service]["build"]
    context = (FOLDER / build["context"]).resolve()
    assert (context / build["dockerfile"]).is_file()
    for volume in compose["services"][service]["volumes"]:
        source, _, mode = volume.split(":")
        assert (FOLDER / source).exists()
        assert mode == "ro"


class Machine:
    """This machine in place of the containers: ports that are free instead of each one's own.

    Args:
        folder: for files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports: dict[str, int] = {}

    def address(self, service: str, port: int | str) -> str:
        """Where a port of a service is here."""
        return f"127.0.0.1:{self._ports.setdefault(f'{service}:{port}', free_port())}"

    def here(self, text: str) -> str:
        """Put the addresses of this machine in the place of those of services."""
        return re.sub(
            r"\b(gateway|lambda):(\d+)", lambda found: self.address(found[1], found[2]), text
        )

    def environment(self, service: str, given: dict[str, str]) -> dict[str, str]:
        """Return a service's variables, with listeners at the ports that others have been told."""
        listeners = {"EDGE": 8080, "CALLBACK": 8081, "ADMIN": 9090}
        own = {f"DIALBACK_{name}": self.address(service, port) for name, port in listeners.items()}
        return {**given, **own}

    def command(self, words: list[str], volumes: list[str]) -> list[str | Path]:
        """Return a command with the files that are mounted, ours among them."""
        for volume in volumes:
            source, target, _ = volume.split(":")
            words = [word.replace(target, str(self._mounted(FOLDER / source))) for word in words]
        return [COMMAND, *words]

    def _mounted(self, source: Path) -> Path:
        if source.is_dir():
            return source.resolve()
        copy = self._folder / source.name
        copy.write_text(self.here(source.read_text()))
        return copy


@pytest.fixture
def edge(compose: Compose, tmp_path: Path) -> Iterator[str]:
    machine = Machine(tmp_path)
    image = inspect((FOLDER / "Dockerfile").read_text())
    services = compose["services"]

    def started(name: str) -> Any:
        service = services[name]
        words = service.get("command", image.arguments)
        env = machine.environment(name, service["environment"])
        return running(*machine.command(words, service["volumes"]), ready="ready", env=env)

    with started("lambda"), started("gateway"):
        yield f"http://{machine.address('gateway', 8080)}"


def test_the_function_streams_through_the_gateway(edge: str) -> None:
    with urlopen(f"{edge}/?q=hello", timeout=PATIENCE) as answer:
        first = answer.readline()
        rest = answer.read()
    assert first == b'data: {"token": "You"}\n'
    assert rest.endswith(b"event: done\ndata: {}\n\n")
    assert b"hello" in rest


def test_the_emulation_may_be_asked_under_its_name(compose: Compose) -> None:
    names = compose["services"]["lambda"]["environment"]["DIALBACK_ADMIN_NAMES"].split(",")
    (host,) = re.findall(r'endpoint = "http://(\w+):', (FOLDER / "dialback.toml").read_text())
    assert host in names
    assert host in compose["services"]
