"""``dialback settings``: a file to begin with, which says the truth about defaults."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.config import ENVIRONMENT, GatewaySettings, Settings, load
from gateway.errors import ConfigError
from gateway.route_settings import RouteSettings
from tests.system.running import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

FREE = re.compile(r"^#\w+ = (TEXT|NUMBER|LIST OF TEXTS)$", re.MULTILINE)
"""What has no default; its place says what kind of value it wants."""


@pytest.fixture(scope="module")
def shown() -> str:
    done = subprocess.run(
        [COMMAND, "settings"], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def read(text: str, folder: Path) -> Settings:
    (folder / "dialback.toml").write_text(text)
    return load(folder / "dialback.toml", {})


def test_the_file_is_good_and_changes_nothing(shown: str, tmp_path: Path) -> None:
    settings = read(shown, tmp_path)
    assert settings.gateway == GatewaySettings()
    (route,) = settings.routes
    assert (route.path, route.target) == ("/", "local:app.py:handler")


def test_every_default_is_what_holds_without_it(shown: str, tmp_path: Path) -> None:
    plain, _, _ = shown.partition("#[routes.")  # tables that a route has, or has not
    uncommented = re.sub(r"^#(\w+ = )", r"\1", FREE.sub("", plain), flags=re.MULTILINE)
    assert uncommented.count("\n#") < plain.count("\n#")
    settings = read(uncommented.replace('auth = "iam"', ""), tmp_path)
    assert settings.gateway == GatewaySettings()
    (route,) = settings.routes
    defaults = RouteSettings(route.where, "/", "local:app.py:handler", tmp_path)
    assert replace(route, base=tmp_path) == defaults


def test_a_wrong_value_would_be_seen(shown: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"request_body .*: 'x' is none of inline, spill, stream"):
        read(shown.replace('#request_body = "inline"', 'request_body = "x"'), tmp_path)


def test_every_key_has_the_variable_that_it_promises(shown: str) -> None:
    gateway, _, _ = shown.partition("[[routes]]")
    keys = re.findall(r"^#(\w+) =", gateway, re.MULTILINE)
    assert {f"DIALBACK_{key.upper()}": key for key in keys} == ENVIRONMENT
