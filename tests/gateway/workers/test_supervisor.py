"""The supervisor when something does not go as it should, as a real process."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psutil

from tests.gateway.cli.test_drain import draining
from tests.gateway.workers.gateways import FUNCTIONS, moving, processes, streams
from tests.patience import PATIENCE
from tests.system.running import Dialback, Process, eventually, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_PYTHON = (
    "import types; import gateway.workers.process as p;"
    "p.sys = types.SimpleNamespace(executable='/bin/false')"
)
BUG = "import gateway.workers.keeper as k; k.describe_end = None"
RUN = "; import sys; from gateway.cli import main; sys.exit(main(sys.argv[1:]))"


def command(folder: Path, before: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """`dialback serve --workers 2` in a Python that did something before, and its listeners."""
    config = folder / "dialback.toml"
    config.write_text(
        f'[[routes]]\npath = "/"\ntarget = "local:{FUNCTIONS}:ticks"\nconcurrency = 60\n'
        f'env = {{ GATE = "{folder}/never" }}\n'
    )
    arguments = ("serve", f"--config={config}", "--workers=2")
    listeners = {f"DIALBACK_{name}": "127.0.0.1:0" for name in ("EDGE", "CALLBACK", "ADMIN")}
    return (sys.executable, "-c", before + RUN, *arguments), listeners


@contextmanager
def serving(folder: Path, before: str, **env: str) -> Iterator[Dialback]:
    argv, listeners = command(folder, before)
    edge, admin = free_port(), free_port()
    listeners |= {"DIALBACK_EDGE": f"127.0.0.1:{edge}", "DIALBACK_ADMIN": f"127.0.0.1:{admin}"}
    with running(*argv, ready="ready", env={**listeners, **env}) as process:
        yield Dialback(process, f"http://127.0.0.1:{edge}", 0, f"http://127.0.0.1:{admin}")


def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    patience = "import gateway.workers.supervisor as s; s.GRACE_SECONDS = 0.5"
    with serving(tmp_path, patience, DIALBACK_DRAIN_DEADLINE="0.1") as dialback:
        everybody = psutil.Process(dialback.pid).children(recursive=True)
        workers = psutil.Process(dialback.pid).children()
        workers[1].suspend()
        dialback.process.popen.terminate()
        assert dialback.process.wait() == 1
        psutil.wait_procs(everybody, timeout=PATIENCE)
        assert not any(one.is_running() for one in everybody)
    assert "a worker does not stop; it is killed" in dialback.stderr


def test_workers_that_cannot_start_end_the_supervisor(tmp_path: Path) -> None:
    argv, listeners = command(tmp_path, NO_PYTHON)
    process = Process(argv, listeners)
    assert process.wait() == 1
    assert "ended with exit code 1: it never served" in process.stderr
    assert "ready" not in process.stdout


def test_a_signal_while_workers_are_being_started_is_obeyed(tmp_path: Path) -> None:
    argv, listeners = command(tmp_path, "pass")
    process = Process(argv, listeners)
    while len(psutil.Process(process.pid).children()) < 2:
        assert process.popen.poll() is None
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert "Traceback" not in process.stderr


def test_a_worker_that_dies_while_it_finishes_is_not_started_again(tmp_path: Path) -> None:
    with serving(tmp_path, "pass") as dialback, ExitStack() as stack:
        clients = streams(stack, dialback, f"/?gate={tmp_path}/x")
        draining(dialback)
        processes(dialback)[0].kill()
        (tmp_path / "x").touch()
        assert dialback.process.wait() == 1
        stack.close()
        assert not any(client.clean for client in clients[0])
        assert all(client.clean for client in clients[1])
    assert "starting it again" not in dialback.stderr


def test_a_bug_in_what_keeps_one_worker_costs_the_others_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, BUG) as dialback, ExitStack() as stack:
        clients = streams(stack, dialback, f"/?gate={tmp_path}/x")
        victim = processes(dialback)[0]
        victim.kill()
        eventually(lambda: dialback.metric("dialback_serving", worker="0") == 1)
        for unharmed in clients[1]:
            moving(unharmed)
        (tmp_path / "x").touch()
        stack.close()
        assert all(client.clean for client in clients[1])
        assert dialback.metric("dialback_starts_total", worker="0") == 2
    assert "worker 0: its keeper failed" in dialback.stderr
    assert "TypeError" in dialback.stderr
