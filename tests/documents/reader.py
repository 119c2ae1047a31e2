"""Someone who follows a document word for word, in an empty directory."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.documents.blocks import ROOT
from tests.patience import PATIENCE
from tests.system.running import eventually, free_port, running

if TYPE_CHECKING:
    from types import TracebackType

    from tests.system.running import Process

ELSEWHERE = {
    "docker": "needs an engine",
    "kubectl": "needs a cluster",
    "sam": "needs an AWS account",
    "pip": "asks a package index",
    "git": "needs the repository's address",
}
"""Commands that a test cannot run, and why; they are only checked to be shell."""

CHANGED = "the code changed"
"""What `dialback dev` says of it."""

_PORTS = {"EDGE": 8080, "CALLBACK": 8081, "ADMIN": 9090}
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


class Reader:
    """Follows the blocks of one document.

    Args:
        desk: an empty directory.
    """

    def __init__(self, desk: Path) -> None:
        self._desk = desk
        self._ports = {name: free_port(followed_by=1) for name in _PORTS}  # a second worker's
        self._open = ExitStack()
        self._gateway: Process | None = None
        self._output = ""
        (desk / ".venv").symlink_to(Path(sys.executable).parents[1])
        self._env = {
            **{f"DIALBACK_{name}": f"127.0.0.1:{port}" for name, port in self._ports.items()},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(desk),
        }

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def write(self, name: str, text: str) -> Path:
        """Put a file onto the desk; when the code of a function that is served changes, wait for it."""
        path = self._desk / name
        path.parent.mkdir(parents=True, exist_ok=True)
        gateway = self._gateway if path.exists() and path.suffix == ".py" else None
        before = gateway.stderr.count(CHANGED) if gateway else 0
        path.write_text(text)
        if gateway:
            eventually(lambda: gateway.stderr.count(CHANGED) > before)
        return path

    def run(self, command: str) -> None:
        """Do what a command line says.

        Raises:
            AssertionError: it failed.
        """
        program, *rest = shlex.split(command)
        if program.endswith("dialback") and rest[0] in ("dev", "serve"):
            self._serve(rest)
        elif program == "make":
            assert rest[0] in _TARGET.findall((ROOT / "Makefile").read_text()), command
        elif program in ELSEWHERE:
            self._shell(f"false && {command} || true")
        else:
            self._output = self._shell(command.replace("curl ", "curl --fail -sS ", 1))

    def expect(self, text: str) -> None:
        """Compare what the last command printed; ``...`` in a line stands for anything.

        Raises:
            AssertionError: it printed something else.
        """
        printed = self._gateway.stdout if self._gateway and not self._output else self._output
        pattern = text.strip().replace("[", "[[]").replace("...", "*")
        assert fnmatch.fnmatchcase(printed.strip(), pattern), f"printed was:\n{printed}"

    def _serve(self, args: list[str]) -> None:
        self._open.close()
        self._output = ""
        command: tuple[str | Path, ...] = (self._desk / ".venv/bin/dialback", *args)
        self._gateway = self._open.enter_context(
            running(*command, ready="ready", env=self._env, cwd=self._desk)
        )

    def _shell(self, command: str) -> str:
        for name, port in _PORTS.items():
            command = command.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self._ports[name]}")
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self._desk,
            env={**os.environ, **self._env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout
