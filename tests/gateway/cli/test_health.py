"""``dialback health``: what a container's health check says, of gateways in every condition."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from typing_extensions import override

from gateway.cli import health as command
from tests.patience import PATIENCE
from tests.system.running import COMMAND, eventually, free_port, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = Path(__file__).with_name("functions.py")


def health(*arguments: str | Path, env: dict[str, str]) -> tuple[int, str]:
    """The exit code, and the one line that was said."""
    done = subprocess.run(
        [COMMAND, "health", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    (line,) = (done.stdout + done.stderr).splitlines()
    return done.returncode, line


def test_a_gateway_that_serves_is_well_and_ready(tmp_path: Path) -> None:
    with running_dialback(f"{FUNCTIONS}:echo") as dialback:
        address = dialback.admin_url.removeprefix("http://")
        told: tuple[tuple[tuple[str | Path, ...], dict[str, str]], ...] = (
            ((), {"DIALBACK_ADMIN": address}),
            ((), {"DIALBACK_ADMIN": address.replace("127.0.0.1", "0.0.0.0")}),
            ((), {"DIALBACK_TOML": _settings(address)}),
            (("--config", _file(tmp_path, address)), {}),
        )
        for arguments, env in told:
            for flags in ((), ("--ready",)):
                assert health(*arguments, *flags, env=env) == (0, f"http://{address}: well")


def test_a_gateway_that_drains_is_well_and_not_ready(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with running_dialback(f"{FUNCTIONS}:ticks", "--env", f"GATE={gate}") as dialback:
        env = {"DIALBACK_ADMIN": dialback.admin_url.removeprefix("http://")}
        with urlopen(dialback.url, timeout=PATIENCE) as answer:
            answer.read(1)
            dialback.process.popen.terminate()
            eventually(lambda: health("--ready", env=env)[1].endswith(command.NOT_READY))
            assert health("--ready", env=env)[0] == 1
            assert health(env=env)[0] == 0
            gate.touch()
            assert answer.read().endswith(b"finished\n")


def test_nobody_listens() -> None:
    code, line = health(env={"DIALBACK_ADMIN": f"127.0.0.1:{free_port()}"})
    assert code == 1
    assert "nobody listens" in line


def test_a_gateway_that_hangs_is_not_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        code, line = health(env={"DIALBACK_ADMIN": f"127.0.0.1:{port}"})
    assert code == 1
    assert line.startswith(f"http://127.0.0.1:{port}: no answer within 3 s")


@pytest.mark.parametrize(
    ("path", "said"), [("/healthz", "/healthz answers 404"), ("/readyz", "/readyz answers 404")]
)
def test_somebody_else_listens(path: str, said: str) -> None:
    with _another_program() as address:
        flags = ("--ready",) if path == "/readyz" else ()
        code, line = health(*flags, env={"DIALBACK_ADMIN": address})
    assert code == 1
    assert said in line


def test_wrong_settings_are_named() -> None:
    code, line = health(env={"DIALBACK_ADMIN": "nowhere"})
    assert code == 2
    assert line.startswith("dialback: DIALBACK_ADMIN: ")


def _settings(admin: str) -> str:
    return f'[gateway]\nadmin = "{admin}"\n[[routes]]\npath = "/"\ntarget = "aws:name"\n'


def _file(folder: Path, admin: str) -> Path:
    file = folder / "dialback.toml"
    file.write_text(_settings(admin))
    return file


class _Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    @override
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _another_program() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
