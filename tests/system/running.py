"""A real `dialback` process on free ports, for tests that want the whole thing.

    with running_dialback("app.py:handler") as dialback:
        urlopen(dialback.url + "/hello")
        assert dialback.metric("dialback_data_frames_total", route="/") > 0

Everything here blocks; an async test takes it from a fixture, and reads metrics in a thread
(``await asyncio.to_thread(dialback.metrics)``).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar
from urllib.request import urlopen

import psutil

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("dialback")
Series = tuple[str, frozenset[tuple[str, str]]]
"""A metric's name and its labels."""

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


PORTS = range(10_100, 32_000)
"""Linux gives 32768 and above to outgoing connections, other systems 49152 and above; and browsers refuse
10080 and some below it."""

_CLAIMS = Path(tempfile.gettempdir(), f"dialback-test-ports-{os.getuid()}")
"""Its n-th byte is locked by the process that was given port n, until that ends."""

_claimed: set[int] = set()


def free_port(*, followed_by: int = 0) -> int:
    """A TCP port of the loopback interface that nobody uses at this moment, nor those that follow it.

    No test run on this machine is given it again while this process lives: whoever asked binds it later,
    and may free it and bind it once more. Ports that the kernel gives to outgoing connections are left out.
    """
    while True:
        port = secrets.choice(PORTS)
        with ExitStack() as stack, contextlib.suppress(OSError):
            for step in range(1 + followed_by):
                _claim(port + step)
                probe = stack.enter_context(socket.socket())
                probe.bind(("127.0.0.1", port + step))
            return port


@functools.cache
def _claims(pid: int) -> TextIO:
    # Never closed: that would give up every lock of this process (fcntl(2)). A fork has none, so it opens its own.
    return _CLAIMS.open("a")


def _claim(port: int) -> None:
    """Keep a port from everybody else.

    Raises:
        BlockingIOError: it was given to somebody.
    """
    if port in _claimed:
        raise BlockingIOError(f"port {port} was given before")
    fcntl.lockf(_claims(os.getpid()), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    _claimed.add(port)


def eventually(probe: Callable[[], T], *, seconds: float = PATIENCE) -> T:
    """Ask until the answer is true, and return it.

    Raises:
        AssertionError: it was still false after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {answer!r} after {seconds} s")
        time.sleep(0.02)
    return answer


def parse_metrics(text: str) -> dict[Series, float]:
    """Read Prometheus' text format into a dict by name and labels."""
    return {
        (name, frozenset(_LABEL.findall(labels))): float(value)
        for name, labels, value in _SAMPLE.findall(text)
    }


class Process:
    """A command that runs, with what it has printed so far."""

    def __init__(
        self, argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path = REPOSITORY
    ) -> None:
        self._argv = [str(part) for part in argv]
        # Files rather than pipes: nobody has to read along, which a measurement would feel.
        self._stdout, self._stderr = _Output(), _Output()
        self.popen = subprocess.Popen(
            self._argv,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=self._stdout.file,
            stderr=self._stderr.file,
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def stdout(self) -> str:
        return self._stdout.text()

    @property
    def stderr(self) -> str:
        return self._stderr.text()

    def wait_for(self, word: str, *, seconds: float = PATIENCE) -> None:
        """Wait until the process has printed `word`, on either stream.

        Raises:
            AssertionError: it ended before, or did not print it within `seconds`.
        """
        # A whole word: "already in use" is not "ready".
        wanted = re.compile(rf"\b{re.escape(word)}\b")
        deadline = time.monotonic() + seconds
        while True:
            code = self.popen.poll()
            if wanted.search(self.stdout) or wanted.search(self.stderr):
                return
            if code is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"{self._argv} did not say {word!r} (exit code {code}):\n"
                    f"{self.stdout}\n{self.stderr}"
                )
            time.sleep(0.02)

    def wait(self, *, seconds: float = PATIENCE) -> int:
        """Wait for the process to end by itself; its exit code."""
        code = self.popen.wait(seconds)
        self._close()
        return code

    def stop(self, *, seconds: float = PATIENCE) -> int:
        """SIGTERM, as an operator would; the exit code. What is left after `seconds` is killed."""
        children = _descendants(self.pid)
        self.popen.terminate()
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
        code = self.popen.wait()
        _kill(children)
        self._close()
        return code

    def _close(self) -> None:
        self._stdout.close()
        self._stderr.close()


class _Output:
    """What a process writes to one of its streams; it can be read when the process is gone."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._final: str | None = None

    def text(self) -> str:
        if self._final is not None:
            return self._final
        size = os.fstat(self.file.fileno()).st_size
        return os.pread(self.file.fileno(), size, 0).decode(errors="replace")

    def close(self) -> None:
        self._final = self.text()
        self.file.close()


@dataclass(frozen=True, slots=True)
class Dialback:
    """A gateway that serves.

    Attributes:
        process: what runs; its `pid`, `stdout` and `stderr`.
        url: where browsers go, ``http://127.0.0.1:PORT``.
        callback_port: where functions dial.
        admin_url: where operators look.
    """

    process: Process
    url: str
    callback_port: int
    admin_url: str

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stdout(self) -> str:
        return self.process.stdout

    @property
    def stderr(self) -> str:
        return self.process.stderr

    def metrics(self) -> dict[Series, float]:
        """Every sample that /metrics shows now."""
        return parse_metrics(self._read("/metrics").decode())

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of `name` that carry these labels; 0.0 when there is none."""
        wanted = set(labels.items())
        samples = self.metrics().items()
        return sum(value for (found, has), value in samples if found == name and wanted <= has)

    def exchanges(self) -> list[dict[str, Any]]:
        """What /exchanges shows now."""
        found: list[dict[str, Any]] = json.loads(self._read("/exchanges"))
        return found

    def _read(self, path: str) -> bytes:
        with urlopen(self.admin_url + path, timeout=PATIENCE) as answer:
            body: bytes = answer.read()
            return body


@contextmanager
def running(
    *argv: str | Path,
    ready: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = REPOSITORY,
    seconds: float = PATIENCE,
) -> Iterator[Process]:
    """Run a command until the block ends; enter the block once it printed `ready`, within so many seconds."""
    process = Process(argv, env or {}, cwd)
    try:
        process.wait_for(ready, seconds=seconds)
        yield process
    finally:
        process.stop()


@contextmanager
def running_dialback(
    *args: str | Path,
    command: str = "dev",
    env: Mapping[str, str] | None = None,
    seconds: float = PATIENCE,
) -> Iterator[Dialback]:
    """Run ``dialback COMMAND ARGS`` on three free ports.

    Args:
        args: what follows the command, e.g. ``"app.py:handler", "--env", "INTERVAL=0.05"``. Paths
            are relative to the root of the repository.
        command: ``dev``, or ``serve``, which is told its ports through the environment.
        env: added to the gateway's own environment.
        seconds: that all its functions may take to be ready.
    """
    edge, callback, admin = free_port(), free_port(), free_port()
    ports: list[str] = []
    listeners: dict[str, str] = {}
    if command == "dev":
        ports = [f"--port={edge}", f"--callback-port={callback}", f"--admin-port={admin}"]
    else:
        listeners = {
            "DIALBACK_EDGE": f"127.0.0.1:{edge}",
            "DIALBACK_CALLBACK": f"127.0.0.1:{callback}",
            "DIALBACK_ADMIN": f"127.0.0.1:{admin}",
        }
    with running(
        COMMAND,
        command,
        *args,
        *ports,
        ready="ready",
        env={**listeners, **(env or {})},
        seconds=seconds,
    ) as process:
        yield Dialback(
            process=process,
            url=f"http://127.0.0.1:{edge}",
            callback_port=callback,
            admin_url=f"http://127.0.0.1:{admin}",
        )


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill(processes: list[psutil.Process]) -> None:
    """End workers that outlived a gateway which was itself killed."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
