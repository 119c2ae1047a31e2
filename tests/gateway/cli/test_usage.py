"""Arguments and settings: what is refused, in one line, and what help teaches."""

from __future__ import annotations

import os
import socket
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.running import COMMAND, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

FUNCTIONS = Path(__file__).with_name("functions.py")
ANY_PORTS = {f"DIALBACK_{one}": "127.0.0.1:0" for one in ("EDGE", "CALLBACK", "ADMIN")}
ROUTE = f'[[routes]]\npath = "/"\ntarget = "local:{FUNCTIONS}:echo"\n'


def dialback(
    *arguments: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def complaint(*arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    """The one line on stderr; nothing else was said, and the exit code is 2."""
    done = dialback(*arguments, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_version() -> None:
    done = dialback("--version")
    assert (done.returncode, done.stdout) == (0, f"dialback {version('dialback')}\n")


@pytest.mark.parametrize(
    ("command", "taught"),
    [
        ([], "dialback dev app.py:handler"),
        (["dev"], "curl -N http://127.0.0.1:8080/"),
        (["serve"], "dialback serve --config dialback.toml"),
        (["settings"], "dialback settings > dialback.toml"),
        (["doctor"], "dialback doctor --config dialback.toml"),
        (["check-config"], "dialback check-config dialback.toml"),
        (["health"], "dialback health --config dialback.toml"),
    ],
)
def test_help_teaches(command: list[str], taught: str) -> None:
    done = dialback(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert taught in done.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("", "dialback: the following arguments are required: COMMAND (see dialback --help)"),
        ("fly", "dialback: argument COMMAND: invalid choice: 'fly'"),
        ("--bogus health", "dialback: unrecognized arguments: --bogus (see dialback --help)"),
        ("dev", "dialback: nothing to serve: name a function"),
        ("dev a.py:h --port x", "dialback: argument --port: 'x' is not a port"),
        ("dev a.py:h --admin-port 65536", "dialback: argument --admin-port: '65536' is not a port"),
        ("dev a.py:h --timeout 0", "dialback: argument --timeout: '0' is not a number of seconds"),
        ("dev a.py:h --concurrency 0", "dialback: argument --concurrency: '0' is not a number"),
        ("dev a.py:h --env A", "dialback: argument --env: 'A' is not NAME=VALUE"),
        ("dev a.py:h --route a=b.py:h", "dialback: argument --route: 'a=b.py:h' is not /PATH="),
        ("dev a.py:h --callback-url http://x", "dialback: --callback-url: 'http://x' is not a Web"),
        ("dev a.py", "dialback: argument a.py: target 'a.py' is neither FILE.py:HANDLER"),
        (
            "dev function_url:x",
            "dialback: argument function_url:x: target 'function_url:x': after function_url:",
        ),
        ("dev a.py:h --route /=b.py:h", "dialback: --route /=b.py:h: path / is there already"),
        ("serve", "dialback: no settings: add --config FILE.toml, or put its text into DIALBACK_"),
        ("serve --config=", "dialback: argument --config: '' names no file; is a variable empty?"),
        ("serve --config gone.toml", "dialback: gone.toml: no such file"),
        (
            "serve --config x --workers 0",
            "dialback: argument --workers: '0' is not a number from 1 to 64 (",
        ),
        ("check-config gone.toml", "dialback: gone.toml: no such file"),
    ],
)
def test_a_mistake_is_one_line(arguments: str, line: str) -> None:
    assert complaint(*arguments.split()).startswith(line)


@pytest.mark.parametrize(
    "arguments",
    [
        "dev a.py:h --bogus",
        "dev a.py:h --port --bogus",
        "serve --bogus",
        "serve dialback.toml --bogus",
        "settings --json",
        "check-config a.toml b.toml",
        "doctor --bogus",
        "health --bogus",
    ],
)
def test_a_wrong_argument_leads_to_the_help_of_its_command(arguments: str) -> None:
    assert complaint(*arguments.split()).endswith(f" (see dialback {arguments.split()[0]} --help)")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("gone.py:handler", "gone.py: no such file"),
        (f"{FUNCTIONS}:missing", "missing"),
        (f"{FUNCTIONS}:NOT_CALLABLE", "NOT_CALLABLE"),
    ],
)
def test_handlers_are_checked_before_anything_listens(
    target: str, said: str, tmp_path: Path
) -> None:
    assert said in complaint("dev", target, "--port=0", "--callback-port=0", "--admin-port=0")
    config = tmp_path / "dialback.toml"
    config.write_text(f'[[routes]]\npath = "/"\ntarget = "local:{target}"\n')
    for command in (("serve", "--config"), ("check-config",)):
        line = complaint(*command, config)
        assert line.startswith("dialback: route /: ")
        assert said in line


@pytest.mark.parametrize("name", ["edge", "callback", "admin"])
def test_a_port_in_use_is_named(name: str, tmp_path: Path) -> None:
    flag = {"edge": "--port", "callback": "--callback-port", "admin": "--admin-port"}[name]
    config = tmp_path / "dialback.toml"
    config.write_text(ROUTE)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = {"--port": 0, "--callback-port": 0, "--admin-port": 0, flag: port}
        flags = [f"{flag}={number}" for flag, number in ports.items()]
        line = complaint("dev", f"{FUNCTIONS}:echo", *flags)
        taken = f"dialback: {name} listener: 127.0.0.1:{port} is in use by another program; "
        assert line.startswith(taken)
        assert "; stop that program, or choose another with " in line
        assert flag in line
        listener = {f"DIALBACK_{name.upper()}": f"127.0.0.1:{port}"}
        line = complaint("serve", "--config", config, env={**ANY_PORTS, **listener})
        assert line.startswith(taken)
        assert f"gateway.{name}" in line


def test_an_address_of_another_machine_is_named() -> None:
    line = complaint("dev", f"{FUNCTIONS}:echo", "--host", "192.0.2.1")
    assert line.startswith("dialback: edge listener: 192.0.2.1:8080 is not an address of this")
    assert line.endswith("; choose another with --port (and --host)")


def test_a_variable_that_means_nothing_is_named(tmp_path: Path) -> None:
    line = complaint("dev", f"{FUNCTIONS}:echo", env={"DIALBACK_EGDE": "127.0.0.1:1"})
    assert line == "dialback: DIALBACK_EGDE: no such setting; did you mean DIALBACK_EDGE?"


def test_token_keys_are_checked(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short")
    config = tmp_path / "dialback.toml"
    config.write_text('[gateway]\ntoken_keys = ["key"]\n' + ROUTE)
    line = complaint("check-config", config)
    assert line.startswith("dialback: gateway.token_keys: ")
    assert "32 bytes" in line


@pytest.mark.parametrize(
    ("addresses", "both"),
    [
        ('edge = "0.0.0.0:80"\ncallback = "0.0.0.0:80"', "edge and callback are both 0.0.0.0:80"),
        (
            'callback = "127.0.0.1:8079"\nworkers = 2',
            "edge and callback of worker 1 are both 127.0.0.1:8080",
        ),
        (
            'callback = "127.0.0.1:9089"\nworkers = 2',
            "callback of worker 1 and admin are both 127.0.0.1:9090",
        ),
    ],
)
def test_two_listeners_at_one_address_are_no_good_file(
    addresses: str, both: str, tmp_path: Path
) -> None:
    config = tmp_path / "dialback.toml"
    config.write_text(f"[gateway]\n{addresses}\n{ROUTE}")
    for command in ("check-config",), ("serve", "--config"):
        line = complaint(*command, config)
        assert line == f"dialback: gateway: {both}; give each a port of its own"


def test_a_function_on_aws_without_a_region_is_no_good_file(tmp_path: Path) -> None:
    config = tmp_path / "dialback.toml"
    config.write_text('[[routes]]\npath = "/"\ntarget = "aws:shop"\n')
    nowhere = {
        **ANY_PORTS,
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_REGION": "",
        "AWS_DEFAULT_REGION": "",
    }
    line = complaint("check-config", config, env=nowhere)
    assert line.startswith("dialback: route /: no AWS region: ")
    assert complaint("serve", "--config", config, env=nowhere).startswith("dialback: no AWS region")
    done = dialback("check-config", config, env={**nowhere, "AWS_REGION": "eu-west-1"})
    assert done.returncode == 0, done.stderr


def test_a_good_file_is_good(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32)
    config = tmp_path / "dialback.toml"
    config.write_text('[gateway]\ntoken_keys = ["key"]\n' + ROUTE)
    done = dialback("check-config", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{config}: good, 1 route\n  / -> {FUNCTIONS}:echo\n"


def test_what_several_workers_cannot_share_is_told_once(tmp_path: Path) -> None:
    config = tmp_path / "dialback.toml"
    config.write_text('[gateway]\ncallback_url = "wss://cb.example.com"\n' + ROUTE)
    said = "dialback: gateway.callback_url: wss://cb.example.com is the same for 2 workers"
    assert complaint("serve", "--config", config, "--workers=2").startswith(said)
    line = complaint("check-config", config, env={"DIALBACK_WORKERS": "2"})
    assert line.startswith(said)
    assert complaint("serve", "--config", config, "--workers=65").startswith(
        "dialback: argument --workers: '65' is not a number from 1 to 64"
    )
    line = complaint("dev", f"{FUNCTIONS}:echo", env={"DIALBACK_WORKERS": "2"})
    assert line.startswith("dialback: DIALBACK_WORKERS: dev is one process")


def test_a_port_that_one_of_several_workers_cannot_have_is_named(tmp_path: Path) -> None:
    config = tmp_path / "dialback.toml"
    config.write_text(ROUTE)
    listeners = {f"DIALBACK_{one}": "127.0.0.1:0" for one in ("EDGE", "ADMIN")}
    first = free_port(followed_by=1)
    port = first + 1
    with socket.create_server(("127.0.0.1", port)):
        env = {**listeners, "DIALBACK_CALLBACK": f"127.0.0.1:{first}"}
        line = complaint("serve", "--config", config, "--workers=2", env=env)
        assert line.startswith(
            f"dialback: callback listener: 127.0.0.1:{port} is in use by another"
        )


def test_a_worker_that_cannot_start_is_told_of_once(tmp_path: Path) -> None:
    config = tmp_path / "dialback.toml"
    config.write_text('[[routes]]\npath = "/"\ntarget = "aws:orders"\n')
    no_aws = {"AWS_CONFIG_FILE": "/dev/null", "AWS_REGION": "", "AWS_DEFAULT_REGION": ""}
    nowhere = {**ANY_PORTS, **no_aws}
    line = complaint("serve", "--config", config, "--workers=2", env=nowhere)
    assert line == complaint("serve", "--config", config, env=nowhere)
    assert "region" in line
