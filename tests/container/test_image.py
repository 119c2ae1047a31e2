"""What the Dockerfile does is done here: installed, started, asked, drained; by an unprivileged user."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.container.dockerfile import BUILDER, Builder, Image
from tests.container.unprivileged import as_user
from tests.packing import ROOT, offline, ours, pack_all
from tests.patience import PATIENCE
from tests.system.running import eventually, free_port, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.running import Dialback

# Two environments and an installation: 7 s on a quiet machine, several times that on a busy one.
pytestmark = pytest.mark.timeout(150)

DOCKERFILE = ROOT / "deploy/container/Dockerfile"

FUNCTION = """
import os, time
from lambda_client import streaming

@streaming
def handler(event, context):
    yield b"begun"
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.02)
    yield b" and finished"
"""

WRITES_NOTHING = ("prlimit", "--fsize=0")
"""No byte goes into any file: a file system that is read-only, and more."""

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
    "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    wheels = tmp_path_factory.mktemp("wheels")
    pack_all([*ours("gateway", "aws", "speedups"), "hatchling"], wheels)
    folder = tmp_path_factory.mktemp("image")
    return Builder(folder, ROOT, offline(wheels)).build(DOCKERFILE.read_text())


@dataclass
class Container:
    """A gateway that runs in the image.

    Attributes:
        process: its first process.
        url: where clients go.
        image: what it runs.
        env: its variables.
    """

    process: subprocess.Popen[str]
    url: str
    image: Image
    env: dict[str, str]

    def health(self) -> tuple[int, str]:
        """The health check's exit code, and what it says."""
        command = [self.image.inside(word) for word in self.image.health]
        done = subprocess.run(
            [*WRITES_NOTHING, *as_user(self.image.user), *command],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@contextmanager
def container(image: Image, config: str) -> Iterator[Container]:
    """Run the image's command with these settings, on ports that are free."""
    file = image.root / "etc/dialback/dialback.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(config)
    names = ("EDGE", "CALLBACK", "ADMIN")
    addresses = {f"DIALBACK_{name}": f"127.0.0.1:{free_port()}" for name in names}
    env = {**image.env, **addresses, **CREDENTIALS, "HOME": "/nonexistent"}
    process = subprocess.Popen(
        [*WRITES_NOTHING, *as_user(image.user), *image.command],
        cwd="/",
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = [next(process.stdout, "(it ended)")]
        while said[-1] not in ("ready\n", "(it ended)"):
            said.append(next(process.stdout, "(it ended)"))
        assert said[-1] == "ready\n", "".join(said)
        yield Container(process, f"http://{env['DIALBACK_EDGE']}", image, env)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gate") / "open"


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory, gate: Path) -> Iterator[Dialback]:
    file = tmp_path_factory.mktemp("functions") / "app.py"
    file.write_text(FUNCTION)
    with running_dialback(f"{file}:handler", "--env", f"GATE={gate}") as dialback:
        yield dialback


def test_it_serves_says_that_it_is_well_and_drains(
    image: Image, region: Dialback, gate: Path
) -> None:
    route = f'[[routes]]\npath = "/"\ntarget = "aws:app-handler"\nendpoint = "{region.admin_url}"\n'
    with container(image, route) as gateway:
        with urlopen(gateway.url, timeout=PATIENCE) as answer:
            assert answer.read(5) == b"begun"
            code, said = gateway.health()
            assert code == 0, said
            gateway.process.send_signal(signal.SIGTERM)
            eventually(lambda: _refuses(gateway.url))
            gate.touch()
            assert answer.read() == b" and finished"
        assert gateway.process.wait(PATIENCE) == 0
        code, said = gateway.health()
        assert (code, "nobody listens" in said) == (1, True)


def test_what_this_image_cannot_do_is_said_in_one_line(image: Image, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(FUNCTION)
    config = tmp_path / "dialback.toml"
    config.write_text('[[routes]]\npath = "/"\ntarget = "local:app.py:handler"\n')
    done = subprocess.run(
        [image.command[0], "check-config", config],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=image.env,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "dialback: route /: emulated functions need awslambdaric and watchfiles;"
        " install dialback[gateway,local]\n",
    )


def test_no_step_ran_with_rights(image: Image) -> None:
    owners = {path.lstat().st_uid for path in (image.root / "opt").rglob("*")}
    assert owners == {BUILDER if as_user(BUILDER) else os.geteuid()}
    assert image.user not in {0, *owners}


def test_it_holds_what_the_gateway_needs_and_no_tools(image: Image) -> None:
    packages = {
        path.name.partition("-")[0]
        for path in image.root.glob("opt/dialback/lib/python3*/site-packages/*.dist-info")
    }
    assert {"dialback", "aiohttp", "botocore", "uvloop"} <= packages
    assert not packages & {"pip", "hatchling", "pytest", "awslambdaric"}


def test_everything_is_compiled(image: Image) -> None:
    """A read-only file system cannot keep what Python would compile at every start."""
    sources = list(image.root.glob("opt/dialback/lib/python3*/site-packages/gateway/**/*.py"))
    assert sources
    assert all(list((file.parent / "__pycache__").glob(f"{file.stem}.*.pyc")) for file in sources)


def _refuses(url: str) -> bool:
    try:
        urlopen(url, timeout=PATIENCE).close()
    except OSError:
        return True
    return False
