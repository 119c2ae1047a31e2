"""SIGTERM to a real gateway with real functions: finish what is begun, or break it off visibly."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.behind import dialback_behind_proxy
from tests.faults.kinds import RESET
from tests.gateway.cli.test_processes import in_background
from tests.patience import PATIENCE
from tests.system.running import Dialback, eventually, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = Path(__file__).with_name("functions.py")
READ_SIZE = 65_536
DEADLINE = {"DIALBACK_DRAIN_DEADLINE": "0.5"}


class Client:
    """One request, read line by line in a thread.

    Attributes:
        lines: what came.
        clean: whether the response came to its end, once the thread is done.
    """

    def __init__(self, url: str, path: str = "/") -> None:
        self._path = path
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
        self.status = 0
        self.headers: http.client.HTTPMessage | None = None
        self.lines: list[bytes] = []
        self.clean: bool | None = None
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        try:
            self.connection.request("GET", self._path)
            response = self.connection.getresponse()
            self.status, self.headers = response.status, response.headers
            length, received, rest = response.length, 0, b""
            # Of http.client's ways to read only read1() tells a FIN in the middle of chunks from their end.
            while data := response.read1(READ_SIZE):
                received += len(data)
                *lines, rest = (rest + data).split(b"\n")
                self.lines += [line + b"\n" for line in lines]
            if rest:
                self.lines.append(rest)
            self.clean = length in (None, received)
        except (OSError, http.client.HTTPException):
            self.clean = False

    def start(self) -> None:
        self._thread.start()

    def done(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.connection.close()


@contextmanager
def asking(dialback: Dialback, path: str = "/") -> Iterator[Client]:
    """A client that has got its first line, and is waited for when the block ends."""
    client = Client(dialback.url, path)
    client.start()
    try:
        eventually(lambda: client.lines or client.clean is not None)
        yield client
    finally:
        client.done()


def draining(dialback: Dialback) -> None:
    dialback.process.popen.send_signal(signal.SIGTERM)
    dialback.process.wait_for("finishing what is begun")


@pytest.mark.fault(20)
def test_a_stream_under_way_finishes_and_its_callback_is_not_kept(tmp_path: Path) -> None:
    gate, other = tmp_path / "gate", tmp_path / "other"
    with running_dialback(
        f"{FUNCTIONS}:ticks", f"--route=/slow={FUNCTIONS}:slow", f"--env=GATE={other}"
    ) as dialback:
        _, slow = in_background(f"{dialback.url}/slow")  # keeps the gateway draining
        dialback.process.wait_for("slow has begun")
        with asking(dialback, f"/?gate={gate}") as client:
            draining(dialback)
            seen = len(client.lines)
            eventually(lambda: len(client.lines) > seen)
            gate.touch()
        assert (client.status, client.clean) == (200, True)
        eventually(lambda: dialback.metric("dialback_callbacks") == 0)
        assert dialback.process.popen.poll() is None
        other.touch()
        slow.join(PATIENCE)
        assert client.lines[-1] == b"finished\n"
        assert dialback.process.wait() == 0
    assert "ticks was stopped" not in dialback.stdout + dialback.stderr


@pytest.mark.fault(20)
def test_a_stream_whose_socket_is_cut_while_draining_resumes_and_finishes(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with dialback_behind_proxy(f"{FUNCTIONS}:ticks", f"--env=GATE={gate}") as (dialback, proxy):
        with asking(dialback) as client:
            draining(dialback)
            for cuts in (1, 2):
                proxy.strike(RESET)
                eventually(lambda: dialback.metric("dialback_attaches_total") == cuts + 1)  # noqa: B023
                seen = len(client.lines)
                eventually(lambda: len(client.lines) > seen)  # noqa: B023
            gate.touch()
        assert (client.status, client.clean) == (200, True)
        assert client.lines[-1] == b"finished\n"
        assert set(client.lines[:-1]) == {b"tick\n"}
        assert dialback.process.wait() == 0


@pytest.mark.fault(20)
@pytest.mark.parametrize("how", ["deadline", "second signal"])
def test_what_takes_too_long_is_visibly_broken_and_its_function_stops(
    how: str, tmp_path: Path
) -> None:
    env = DEADLINE if how == "deadline" else {}
    with running_dialback(
        f"{FUNCTIONS}:ticks", f"--env=GATE={tmp_path / 'never'}", env=env
    ) as dialback:
        with asking(dialback) as client:
            draining(dialback)
            if how == "second signal":
                dialback.process.popen.send_signal(signal.SIGTERM)
        assert (client.status, client.clean) == (200, False)
        assert dialback.process.wait() == 1
    assert "ticks was stopped" in dialback.stdout + dialback.stderr


@pytest.mark.fault(20)
def test_parked_callbacks_are_closed_and_those_that_waited_are_told_to_come_later(
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    with running_dialback(
        f"{FUNCTIONS}:slow",
        f"--route=/ticks={FUNCTIONS}:ticks",
        f"--env=GATE={gate}",
        "--concurrency=1",
    ) as dialback:
        with asking(dialback, "/ticks") as streamed:
            gate.touch()
        assert streamed.clean
        eventually(lambda: dialback.metric("dialback_callbacks", state="parked") == 1)
        gate.unlink()
        slow, waiting = Client(dialback.url), Client(dialback.url)
        slow.start()
        dialback.process.wait_for("slow has begun")
        waiting.start()
        eventually(lambda: dialback.metric("dialback_queue_depth") == 1)
        draining(dialback)
        waiting.done()
        assert waiting.status == 503
        assert waiting.headers is not None
        assert waiting.headers["Retry-After"] == "1"
        assert json.loads(b"".join(waiting.lines))["error"] == "the gateway is shutting down"
        eventually(lambda: dialback.metric("dialback_callbacks") == 0)
        gate.touch()
        slow.done()
        assert (slow.status, slow.lines) == (200, [b"finished"])
        assert dialback.process.wait() == 0


@pytest.mark.fault(20, 29)
@pytest.mark.parametrize("how", ["finishes", "is broken off"])
def test_a_function_that_goes_on_without_its_client_has_the_same_time(
    how: str, tmp_path: Path
) -> None:
    gate, config = tmp_path / "gate", tmp_path / "dialback.toml"
    config.write_text(f"""
        [gateway]
        drain_deadline = {PATIENCE if how == "finishes" else 0.5}
        [[routes]]
        path = "/"
        target = "local:{FUNCTIONS}:ticks"
        on_disconnect = "continue"
        env = {{ GATE = "{gate}" }}
        """)
    with running_dialback("--config", config, command="serve") as dialback:
        port = int(dialback.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.recv(100)
        eventually(lambda: [one["client_left"] for one in dialback.exchanges()] == [True])
        draining(dialback)
        if how == "finishes":
            assert dialback.exchanges()[0]["state"] == "streaming"
            gate.touch()
        assert dialback.process.wait() == (how != "finishes")
    said = dialback.stdout + dialback.stderr
    assert ("ticks was stopped" in said) == (how != "finishes")
