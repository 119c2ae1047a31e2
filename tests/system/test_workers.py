"""Several workers that call the same functions: as on AWS, any of them may get any environment.

The region is another gateway's emulated Lambda, so an environment is called by each worker in turn.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.gateway.cli.test_processes import read
from tests.gateway.workers.gateways import processes, streams
from tests.system.running import REPOSITORY, eventually, running_dialback
from tests.system.test_aws_target import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.running import Dialback

FUNCTIONS = REPOSITORY / "tests/system/functions/patient.py"
WORKERS = ("0", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def front(folder: Path) -> Iterator[Dialback]:
    """Two workers; behind ``/one`` there is a single environment."""
    gate, region = f"--env=GATE={folder}/never", f"{FUNCTIONS}:ticks"
    with (
        running_dialback(region, gate) as many,
        running_dialback(region, gate, "--concurrency=1") as one,
    ):
        config = folder / "dialback.toml"
        config.write_text("[gateway]\nworkers = 2\n" + route("/", many) + route("/one", one))
        env = {**CREDENTIALS, "DIALBACK_CALLBACK": "127.0.0.1:0"}
        with running_dialback("--config", config, command="serve", env=env) as dialback:
            yield dialback


def route(path: str, region: Dialback) -> str:
    return f"""
        [[routes]]
        path = "{path}"
        target = "aws:patient-ticks"
        endpoint = "{region.admin_url}"
        concurrency = 60
        """


def by_worker(dialback: Dialback, name: str, **labels: str) -> list[float]:
    return [dialback.metric(name, worker=worker, **labels) for worker in WORKERS]


CALLS = 20

SPARE = 6
"""Dials beside those of the workers, where a function had no time to look at its connection; one a call would be 20."""


def callbacks(front: Dialback) -> dict[int, set[int]]:
    """The functions' ports of the callbacks that are open, by worker."""
    edge = int(front.url.rpartition(":")[2])
    return {
        number: {
            one.raddr.port
            for one in process.net_connections()
            if one.status == psutil.CONN_ESTABLISHED
            and one.laddr.port in listening(process) - {edge}
        }
        for number, process in processes(front).items()
    }


def listening(process: psutil.Process) -> set[int]:
    return {one.laddr.port for one in process.net_connections() if one.status == psutil.CONN_LISTEN}


def test_an_environment_keeps_a_connection_for_each_worker_that_calls_it(
    front: Dialback, folder: Path
) -> None:
    gate = folder / "open"
    gate.touch()
    url = f"{front.url}/one?gate={gate}"
    while not all(callbacks(front).values()):
        assert read(url)[2] == b"finished\n"
    seen: set[int] = set()
    done = front.metric("dialback_exchanges_total")
    while front.metric("dialback_exchanges_total") < done + CALLS:
        assert read(url)[2] == b"finished\n"
        seen.update(*callbacks(front).values())
    eventually(lambda: [len(ports) for ports in callbacks(front).values()] == [1, 1])
    assert len(seen) < 2 + SPARE


def test_functions_that_are_called_by_workers_in_turn_dial_the_right_one(
    front: Dialback, folder: Path
) -> None:
    before = by_worker(front, "dialback_attaches_total", result="accepted")
    gate = folder / "all"
    with ExitStack() as stack:
        clients = streams(stack, front, f"/?gate={gate}")
        gate.touch()
    assert all(client.clean for some in clients.values() for client in some)
    accepted = by_worker(front, "dialback_attaches_total", result="accepted")
    grown = [after - earlier for earlier, after in zip(before, accepted, strict=True)]
    assert grown == [len(clients[0]), len(clients[1])]
    for refused in ("rejected", "unauthorized"):
        assert by_worker(front, "dialback_attaches_total", result=refused) == [0, 0]


@pytest.mark.fault(18)
def test_a_function_whose_worker_was_killed_learns_that_its_stream_is_lost(
    front: Dialback, folder: Path
) -> None:
    with ExitStack() as stack:
        clients = streams(stack, front, f"/?gate={folder}/killed")
        processes(front)[0].kill()
        # The new worker listens at the old one's address, and takes its tokens: so it can say UNKNOWN.
        eventually(
            lambda: (
                front.metric("dialback_attaches_total", worker="0", result="rejected")
                == len(clients[0])
            )
        )
        assert front.metric("dialback_attaches_total", result="unauthorized") == 0
        (folder / "killed").touch()
    assert not any(client.clean for client in clients[0])
    assert all(client.clean for client in clients[1])
