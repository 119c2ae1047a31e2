"""Several workers behind one port: who serves, what is counted, and what an operator sees."""

from __future__ import annotations

import http.client
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psutil
import pytest

from gateway.address import Address
from gateway.cli import health as command
from tests.gateway.cli.test_drain import asking, draining
from tests.gateway.cli.test_processes import read, refuses_connections
from tests.gateway.workers.gateways import WORKERS, active, moving, processes, streams, workers
from tests.patience import PATIENCE
from tests.system.running import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.running import Dialback

BOTH = range(WORKERS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def dialback(folder: Path) -> Iterator[Dialback]:
    with workers(folder) as running:
        yield running


def by_worker(dialback: Dialback, name: str, **labels: str) -> list[float]:
    return [dialback.metric(name, worker=str(worker), **labels) for worker in BOTH]


def ask(dialback: Dialback, requests: int) -> list[bytes]:
    """Ask on one connection, and read each answer to its end."""
    connection = http.client.HTTPConnection(dialback.url.removeprefix("http://"), timeout=PATIENCE)
    bodies = []
    for number in range(requests):
        connection.request("GET", f"/{number}")
        answer = connection.getresponse()
        assert answer.status == 200
        bodies.append(answer.read())
    connection.close()
    return bodies


def test_connections_are_spread_and_everything_is_counted_once(dialback: Dialback) -> None:
    connections, requests = 40, 5
    done = by_worker(dialback, "dialback_exchanges_total", route="/", outcome="completed")
    sent = by_worker(dialback, "dialback_response_bytes_total", route="/")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(dialback, requests), range(connections)))
    bodies = [body for one in answers for body in one]
    grown = [
        after - before
        for before, after in zip(
            done, by_worker(dialback, "dialback_exchanges_total", route="/"), strict=True
        )
    ]
    assert sum(grown) == len(bodies) == connections * requests
    assert all(count > 0 and count % requests == 0 for count in grown)
    assert sum(by_worker(dialback, "dialback_response_bytes_total", route="/")) - sum(sent) == sum(
        map(len, bodies)
    )
    assert by_worker(dialback, "dialback_invokes_total", route="/") == by_worker(
        dialback, "dialback_exchanges_total", route="/"
    )
    assert by_worker(dialback, "dialback_serving") == [1, 1]
    assert {one["worker"] for one in dialback.exchanges()} == set(BOTH)


def test_a_function_dials_the_worker_that_called_it(dialback: Dialback, folder: Path) -> None:
    gate = folder / "right-worker"
    before = by_worker(dialback, "dialback_attaches_total", result="accepted")
    with ExitStack() as stack:
        clients = streams(stack, dialback, f"/ticks?gate={gate}")
        counts = [len(clients[worker]) for worker in BOTH]
        attached = by_worker(dialback, "dialback_attaches_total", result="accepted")
        assert [a - b for a, b in zip(attached, before, strict=True)] == counts
        assert by_worker(dialback, "dialback_exchanges_active", route="/ticks") == counts
        gate.touch()
    assert all(client.clean for some in clients.values() for client in some)
    assert dialback.metric("dialback_attaches_total", result="rejected") == 0


def test_operators_see_one_gateway(dialback: Dialback) -> None:
    told = dialback.stdout.splitlines()
    assert [line.split()[0] for line in told if line.split()[0] != "route"] == [
        "edge",
        "callback",
        "callback",
        "admin",
        "ready",
    ]
    assert read(f"{dialback.admin_url}/healthz")[2] == b"ok\n"
    assert read(f"{dialback.admin_url}/readyz")[2] == b"ready\n"
    status, _, _ = read(f"{dialback.admin_url}/exchanges", Origin="http://evil.example")
    assert status == 403
    text = read(f"{dialback.admin_url}/metrics")[2].decode()
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families))  # one group for each, as the format demands


@pytest.mark.fault(18)
def test_a_worker_that_is_killed_breaks_its_own_streams_and_is_started_again(
    dialback: Dialback, folder: Path
) -> None:
    gate = folder / "killed"
    with ExitStack() as stack:
        clients = streams(stack, dialback, f"/ticks?gate={gate}")
        victim = processes(dialback)[0]
        functions = victim.children(recursive=True)
        victim.kill()
        for broken in clients[0]:
            broken.done()
            assert (broken.status, broken.clean) == (200, False)
        for unharmed in clients[1]:
            moving(unharmed)
        eventually(lambda: dialback.metric("dialback_serving", worker="0") == 1)
        assert processes(dialback)[0].pid != victim.pid
        assert processes(dialback)[1].create_time() < processes(dialback)[0].create_time()
        psutil.wait_procs(functions, timeout=PATIENCE)
        assert not any(one.is_running() for one in functions)
        gate.touch()
    assert all(unharmed.clean for unharmed in clients[1])
    assert by_worker(dialback, "dialback_starts_total") == [2, 1]
    said = f"worker 0 (process {victim.pid}) was killed by SIGKILL; starting it again in 0.1 s"
    assert said in dialback.stderr
    eventually(lambda: {active_worker(dialback) for _ in range(4)} == set(BOTH))


def active_worker(dialback: Dialback) -> int:
    """Which worker served the one request that this makes."""
    before = by_worker(dialback, "dialback_exchanges_total", route="/")
    ask(dialback, 1)
    after = by_worker(dialback, "dialback_exchanges_total", route="/")
    return next(worker for worker in BOTH if after[worker] > before[worker])


def test_a_worker_that_is_stuck_is_told_of_and_the_others_are_ready(
    dialback: Dialback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PATIENCE", PATIENCE)
    admin = Address.parse(dialback.admin_url.removeprefix("http://"))
    stuck = processes(dialback)[1]
    stuck.suspend()
    try:
        with ThreadPoolExecutor() as pool:
            health = pool.submit(read, f"{dialback.admin_url}/healthz")
            well = pool.submit(command.examine, admin, "/healthz")
            up = pool.submit(by_worker, dialback, "dialback_serving")
            assert read(f"{dialback.admin_url}/readyz")[0] == 200
            status, _, body = health.result()
            assert (status, body) == (503, b"worker 1 does not answer\n")
            assert well.result() == "worker 1 does not answer"
            assert up.result() == [1, 0]
    finally:
        stuck.resume()
    eventually(lambda: read(f"{dialback.admin_url}/healthz")[0] == 200)


@pytest.mark.parametrize("whole_group", [False, True], ids=["supervisor", "everybody"])
def test_a_signal_lets_every_worker_finish(whole_group: bool, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with workers(tmp_path) as dialback, ExitStack() as stack:
        clients = streams(stack, dialback, f"/ticks?gate={gate}")
        if whole_group:  # as systemd does, and a shell with Ctrl-C
            for process in processes(dialback).values():
                process.send_signal(signal.SIGTERM)
        draining(dialback)
        eventually(lambda: refuses_connections(dialback))
        assert read(f"{dialback.admin_url}/readyz")[0] == 503
        for some in clients.values():
            for client in some:
                moving(client)
        assert len(active(dialback)) == sum(map(len, clients.values()))
        gate.touch()
        assert dialback.process.wait() == 0
        stack.close()
        assert all(client.clean for some in clients.values() for client in some)


def test_a_second_signal_breaks_off_what_every_worker_has(tmp_path: Path) -> None:
    with workers(tmp_path) as dialback, ExitStack() as stack:
        clients = streams(stack, dialback, "/ticks")
        draining(dialback)
        dialback.process.popen.send_signal(signal.SIGTERM)
        assert dialback.process.wait() == 1
        stack.close()
        assert not any(client.clean for some in clients.values() for client in some)


def test_workers_without_a_supervisor_finish_and_end(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with workers(tmp_path) as dialback:
        everybody = psutil.Process(dialback.pid).children(recursive=True)
        with asking(dialback, f"/ticks?gate={gate}") as client:
            dialback.process.popen.kill()
            dialback.process.wait()
            moving(client)
            gate.touch()
        assert client.clean
        psutil.wait_procs(everybody, timeout=PATIENCE)
        assert not any(one.is_running() for one in everybody)


def test_a_callback_address_of_its_own_path_for_each(tmp_path: Path) -> None:
    """As behind a load balancer that sends /w0 and /w1 to different ports, and leaves paths alone."""
    gate = tmp_path / "gate"
    url = {"DIALBACK_CALLBACK_URL": "ws://127.0.0.1:{port}/w{worker}"}
    with workers(tmp_path, env=url) as dialback, ExitStack() as stack:
        assert "/w0\n" in dialback.stdout
        clients = streams(stack, dialback, f"/ticks?gate={gate}")
        gate.touch()
        stack.close()
        assert all(client.clean for some in clients.values() for client in some)
