"""`dialback dev` and `dialback serve` as processes: what they print, serve, and how they stop."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.patience import PATIENCE
from tests.system.running import (
    COMMAND,
    Dialback,
    eventually,
    free_port,
    running,
    running_dialback,
)

FUNCTIONS = Path(__file__).with_name("functions.py")


def read(url: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = Request(url, data=data, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def seen(url: str) -> dict[str, Any]:
    status, _, body = read(url)
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def test_dev_serves_routes_and_says_where() -> None:
    with running_dialback(
        f"{FUNCTIONS}:echo",
        f"--route=/chat={FUNCTIONS}:plain",
        "--env=STAGE=test",
        "--concurrency=2",
        "--timeout=5",
        env={"DIALBACK_LOG_LEVEL": "error"},
    ) as dialback:
        told = dialback.stdout.splitlines()
        assert told[-1] == "ready"
        assert f"edge      {dialback.url}" in told
        assert f"callback  ws://127.0.0.1:{dialback.callback_port}" in told
        assert f"route     /chat -> {FUNCTIONS}:plain" in told
        answer = seen(f"{dialback.url}/a%20b/c?x=%20")
        assert (answer["path"], answer["query"]) == ("/a%20b/c", "x=%20")
        assert (answer["stage"], answer["env"]) == ("test", {})
        assert json.loads(read(f"{dialback.url}/chat/x")[2])["event"]["rawPath"] == "/chat/x"
        assert dialback.metric("dialback_exchanges_total", route="/", outcome="completed") == 1
        assert [one["route"] for one in dialback.exchanges()] == ["/", "/chat"]


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")])
def test_dev_says_an_address_that_can_be_used(host: str, shown: str) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    edge, callback, admin = free_port(), free_port(), free_port()
    ports = [f"--port={edge}", f"--callback-port={callback}", f"--admin-port={admin}"]
    handler = f"{FUNCTIONS}:echo"
    with running(COMMAND, "dev", handler, f"--host={host}", *ports, ready="ready") as process:
        assert f"edge      http://{shown}:{edge}\n" in process.stdout
        assert f"callback  ws://{shown}:{callback}\n" in process.stdout
        assert f"admin     http://127.0.0.1:{admin}  " in process.stdout
        assert seen(f"http://{shown}:{edge}/x")["path"] == "/x"


def test_dev_tells_functions_to_dial_what_it_was_told() -> None:
    with running_dialback(f"{FUNCTIONS}:echo", "--callback-url=ws://tunnel.example:1") as dialback:
        assert "callback  ws://tunnel.example:1\n" in dialback.stdout


def test_port_0_takes_any_free_port() -> None:
    flags = ["--port=0", "--callback-port=0", "--admin-port=0"]
    with running(COMMAND, "dev", f"{FUNCTIONS}:echo", *flags, ready="ready") as process:
        (url,) = re.findall(r"^edge +(\S+)$", process.stdout, re.MULTILINE)
        assert seen(f"{url}/x")["path"] == "/x"


def test_dev_answers_the_invoke_api_on_the_admin_listener() -> None:
    with running_dialback(f"{FUNCTIONS}:plain") as dialback:
        url = f"{dialback.admin_url}/2015-03-31/functions/functions-plain/invocations"
        assert f"invoke    {url}" in dialback.stdout
        status, _, body = read(url, b'{"a": 1}')
        assert (status, json.loads(body)) == (200, {"event": {"a": 1}})
        assert read(url.replace("plain", "gone"), b"{}")[0] == 404


def test_pages_of_the_edge_may_read_the_admin_listener_and_no_others() -> None:
    with running_dialback(f"{FUNCTIONS}:plain") as dialback:
        url = f"{dialback.admin_url}/exchanges"
        for origin in (dialback.url, dialback.url.replace("127.0.0.1", "localhost")):
            status, headers, _ = read(url, Origin=origin)
            assert (status, headers["Access-Control-Allow-Origin"]) == (200, origin)
        assert read(url, Origin="http://evil.example")[0] == 403
        invoke = f"{dialback.admin_url}/2015-03-31/functions/functions-plain/invocations"
        assert read(invoke, b"{}", Origin=dialback.url)[0] == 403


def test_serve_does_as_its_file_and_the_environment_say(tmp_path: Path) -> None:
    config = tmp_path / "dialback.toml"
    (tmp_path / "functions.py").symlink_to(FUNCTIONS)
    (tmp_path / "key").write_text("k" * 32)
    config.write_text(
        """
        [gateway]
        edge = "192.0.2.1:1"
        token_keys = ["key"]
        [[routes]]
        path = "/echo"
        target = "local:functions.py:echo"
        inline_body_max = 10
        env = { STAGE = "file" }
        """
    )
    with running_dialback(f"--config={config}", command="serve") as dialback:
        assert seen(f"{dialback.url}/echo/1")["stage"] == "file"
        assert read(f"{dialback.url}/echo", b"x" * 11)[0] == 413
        status, headers, body = read(f"{dialback.url}/other")
        assert (status, headers["content-type"]) == (404, "application/json")
        assert json.loads(body)["exchange"] == headers["x-dialback-exchange"]
        assert read(f"{dialback.admin_url}/healthz")[2] == b"ok\n"
        assert read(f"{dialback.admin_url}/2015-03-31/functions/f/invocations", b"{}")[0] == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_begun_finish(number: signal.Signals, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with running_dialback(f"{FUNCTIONS}:slow", f"--env=GATE={gate}") as dialback:
        answer, thread = in_background(dialback.url)
        dialback.process.wait_for("slow has begun")
        dialback.process.popen.send_signal(number)
        eventually(lambda: read(f"{dialback.admin_url}/readyz")[0] == 503)
        assert read(f"{dialback.admin_url}/healthz")[0] == 200
        eventually(lambda: refuses_connections(dialback))
        gate.touch()
        thread.join(PATIENCE)
        assert answer == [(200, b"finished")]
        assert dialback.process.wait() == 0


def test_a_connection_that_is_kept_gets_no_new_request_through_while_draining(
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    with running_dialback(
        f"{FUNCTIONS}:echo", f"--route=/slow={FUNCTIONS}:slow", f"--env=GATE={gate}"
    ) as dialback:
        connection = http.client.HTTPConnection(
            dialback.url.removeprefix("http://"), timeout=PATIENCE
        )
        connection.request("GET", "/")
        connection.getresponse().read()
        _, thread = in_background(f"{dialback.url}/slow")
        dialback.process.wait_for("slow has begun")
        dialback.process.popen.terminate()
        eventually(lambda: read(f"{dialback.admin_url}/readyz")[0] == 503)
        connection.request("GET", "/")
        refused = connection.getresponse()
        assert (refused.status, refused.headers["Connection"]) == (503, "close")
        assert refused.headers["Retry-After"] == "1"
        refused.read()
        connection.close()
        gate.touch()
        thread.join(PATIENCE)
        assert dialback.process.wait() == 0


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with running_dialback(f"{FUNCTIONS}:slow", f"--env=GATE={tmp_path / 'never'}") as dialback:
        answer, thread = in_background(dialback.url)
        dialback.process.wait_for("slow has begun")
        dialback.process.popen.terminate()
        dialback.process.wait_for("finishing what is begun")
        dialback.process.popen.terminate()
        assert dialback.process.wait() == 1
        thread.join(PATIENCE)
        ((status, body),) = answer
        assert status == 503
        assert json.loads(body)["error"] == "the gateway is shutting down"


def test_the_drain_deadline_is_a_limit(tmp_path: Path) -> None:
    with running_dialback(
        f"{FUNCTIONS}:slow",
        f"--env=GATE={tmp_path / 'never'}",
        env={"DIALBACK_DRAIN_DEADLINE": "0.2"},
    ) as dialback:
        answer, thread = in_background(dialback.url)
        dialback.process.wait_for("slow has begun")
        dialback.process.popen.terminate()
        assert dialback.process.wait() == 1
        thread.join(PATIENCE)
        assert answer[0][0] == 503


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def in_background(url: str) -> tuple[list[tuple[int, bytes]], threading.Thread]:
    """Ask in a thread; the list has the answer once the thread is done."""
    answer: list[tuple[int, bytes]] = []

    def ask() -> None:
        status, _, body = read(url)
        answer.append((status, body))

    thread = threading.Thread(target=ask)
    thread.start()
    return answer, thread


def refuses_connections(dialback: Dialback) -> bool:
    host, port = dialback.url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False
