"""A gateway whose certificates and keys are files, with functions in processes of their own."""

from __future__ import annotations

import http.client
import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.certificates import trusting, write_authority, write_certificate
from tests.faults.kinds import RESET
from tests.faults.proxy import running_proxy
from tests.patience import PATIENCE
from tests.system.functions.rotation import part
from tests.system.running import (
    REPOSITORY,
    Dialback,
    eventually,
    free_port,
    running_dialback,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

STREAMS = 6

FILE = """
[gateway]
{dialled}
edge_certificate = "chain.pem"
edge_key = "key.pem"
callback_certificate = "chain.pem"
callback_key = "key.pem"
token_keys = ["token-key"]
[[routes]]
path = "/"
target = "{functions}:steady"
timeout = 60
env = {{ DIALBACK_CA_FILE = "{ca}" }}
"""


@contextmanager
def secured(
    directory: Path, callback: int, dialled: int | None = None, *flags: str
) -> Iterator[Dialback]:
    """A gateway with TLS on both listeners; functions dial its own address, or another port."""
    functions = REPOSITORY / "tests/system/functions/rotation.py"
    write_certificate(directory / "chain.pem", directory / "key.pem")
    (directory / "token-key").write_text("0" * 40)
    file = directory / "dialback.toml"
    url = "" if dialled is None else f'callback_url = "wss://127.0.0.1:{dialled}"'
    ca = write_authority(directory / "ca.pem")
    file.write_text(FILE.format(dialled=url, functions=functions, ca=ca))
    env = {"DIALBACK_CALLBACK": f"127.0.0.1:{callback}"}
    with running_dialback("--config", file, *flags, command="serve", env=env) as dialback:
        yield dialback


def connect(dialback: Dialback) -> http.client.HTTPSConnection:
    port = int(dialback.url.rpartition(":")[2])
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=trusting())


def stream(dialback: Dialback, gate: Path) -> bytes:
    """The body of a response that lasts until the gate is there, to its clean end."""
    connection = connect(dialback)
    connection.request("GET", f"/?gate={quote(str(gate))}")
    body = connection.getresponse().read()
    connection.close()
    return body


@contextmanager
def streams(dialback: Dialback, gate: Path) -> Iterator[list[Future[bytes]]]:
    """Bodies of responses that have begun, and last until the gate is there; with the block it will be."""
    with ThreadPoolExecutor(STREAMS) as clients:
        try:
            bodies = [clients.submit(stream, dialback, gate) for _ in range(STREAMS)]
            eventually(lambda: dialback.metric("dialback_callbacks", state="active") == STREAMS)
            yield bodies
        finally:
            gate.touch()


def assert_whole(body: bytes) -> None:
    assert len(body) > 0
    for number in itertools.count():
        expected = part(number)
        at = number * len(expected)
        if at == len(body):
            return
        assert body[at : at + len(expected)] == expected


def told(dialback: Dialback, what: str) -> int:
    return dialback.stderr.count(f"{what}: changed, and read again")


@pytest.mark.fault(6)
def test_new_keys_and_certificates_drop_no_stream(tmp_path: Path) -> None:
    callback, gate = free_port(), tmp_path / "gate"
    with (
        running_proxy(("127.0.0.1", callback)) as proxy,
        secured(tmp_path, callback, proxy.port) as dialback,
        streams(dialback, gate) as bodies,
    ):
        for change in (1, 2):
            (tmp_path / "token-key").write_text(str(change) * 40)
            write_certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
            eventually(lambda: told(dialback, "token keys") == change)  # noqa: B023
            eventually(lambda: told(dialback, "certificate of the callback listener") == change)  # noqa: B023
            assert not any(body.done() for body in bodies)
            proxy.strike(RESET)  # they come back with tokens of a key that is no more
            eventually(lambda: attaches(dialback, "accepted") >= (1 + change) * STREAMS)  # noqa: B023
        gate.touch()
        for body in bodies:
            assert_whole(body.result())
        with streams(dialback, tmp_path / "another") as others:
            pass
        for body in others:
            assert_whole(body.result())
        assert attaches(dialback, "unauthorized") == 0


def attaches(dialback: Dialback, result: str) -> float:
    return dialback.metric("dialback_attaches_total", result=result)


def test_where_everything_is_says_that_it_is_secured(tmp_path: Path) -> None:
    callback = free_port()
    with secured(tmp_path, callback) as dialback:
        assert f"edge      {dialback.url.replace('http:', 'https:')}\n" in dialback.stdout
        assert f"callback  wss://127.0.0.1:{callback}\n" in dialback.stdout
        assert_whole(stream(dialback, tmp_path))


def test_workers_have_the_same_certificate_and_a_drain_ends_cleanly(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with (
        secured(tmp_path, 0, None, "--workers=2") as dialback,
        streams(dialback, gate) as bodies,
    ):
        dialback.process.popen.terminate()
        dialback.process.wait_for("finishing what is begun")
        assert not any(body.done() for body in bodies)
        gate.touch()
        assert dialback.process.wait() == 0
        for body in bodies:
            assert_whole(body.result())
