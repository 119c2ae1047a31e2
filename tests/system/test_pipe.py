"""The whole pipe, through a spawned `dialback dev`: bytes, endings and bad input."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

from tests.patience import PATIENCE
from tests.system.functions.pipe import odd_chunks
from tests.system.running import REPOSITORY, Dialback, eventually, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FUNCTIONS = "tests/system/functions/pipe.py"
FUNCTIONS_ABSOLUTE = REPOSITORY / FUNCTIONS
MIB = 1 << 20
MEMORY_MAX = 100
"""MiB that a function may take for 64 MiB of body: interpreter, library and windows, not the body."""

ROUTES = {
    "/bytes": "random_bytes",
    "/hash": "hash_upload",
    "/echo": "echo",
    "/unaware": "unaware",
    "/before": "raises_before",
    "/after": "raises_after",
    "/nonsense": "nonsense",
    "/exits": "exits",
    "/status": "any_status",
    "/ticks": "ticks",
}


@pytest.fixture(scope="module")
def dialback() -> Iterator[Dialback]:
    routes = [f"--route={path}={FUNCTIONS}:{name}" for path, name in ROUTES.items()]
    with running_dialback(*routes, "--timeout=50") as running:
        yield running


class Client(http.client.HTTPConnection):
    """One connection to the edge; closed by `with`."""

    def __init__(self, dialback: Dialback) -> None:
        parts = urlsplit(dialback.url)
        super().__init__(str(parts.hostname), parts.port, timeout=PATIENCE)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fetch(
    dialback: Dialback, path: str, method: str = "GET", **kwargs: Any
) -> tuple[http.client.HTTPResponse, bytes]:
    with Client(dialback) as client:
        client.request(method, path, **kwargs)
        response = client.getresponse()
        return response, response.read()


def frames(dialback: Dialback, route: str) -> float:
    return dialback.metric("dialback_data_frames_total", route=route)


# ---------------------------------------------------------------- bytes


def test_random_bytes_arrive_as_they_were_sent(dialback: Dialback) -> None:
    total = 64 * MIB
    expected = hashlib.sha256()
    for chunk in odd_chunks(total):
        expected.update(chunk)
    before, got = frames(dialback, "/bytes"), hashlib.sha256()
    with Client(dialback) as client:
        client.request("GET", f"/bytes?total={total}")
        response = client.getresponse()
        assert response.getheader("transfer-encoding") == "chunked"
        while chunk := response.read1(1 << 16):
            got.update(chunk)
    assert got.hexdigest() == expected.hexdigest()
    assert frames(dialback, "/bytes") - before > total / 65_536 / 4
    told = eventually(lambda: re.findall(r"memory (\d+) MiB", dialback.stderr))
    assert int(told[0]) < MEMORY_MAX


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_an_upload_of_any_size_arrives_as_it_was_sent(dialback: Dialback, *, chunked: bool) -> None:
    total = 64 * MIB
    expected = hashlib.sha256()
    for chunk in odd_chunks(total):
        expected.update(chunk)
    headers = {} if chunked else {"content-length": str(total)}
    response, body = fetch(
        dialback, "/hash", "POST", body=odd_chunks(total), headers=headers, encode_chunked=chunked
    )
    report = json.loads(body)
    assert (response.status, report["size"]) == (200, total)
    assert report["sha256"] == expected.hexdigest()
    assert report["memory"] < MEMORY_MAX


def test_a_small_upload_comes_in_the_event(dialback: Dialback) -> None:
    _, body = fetch(dialback, "/hash", "POST", body=bytes(range(256)))
    assert json.loads(body)["sha256"] == hashlib.sha256(bytes(range(256))).hexdigest()


def test_down_and_up_at_the_same_time(dialback: Dialback) -> None:
    sent = b"".join(odd_chunks(16 * MIB))
    before = frames(dialback, "/echo")
    with Client(dialback) as client:
        client.putrequest("POST", "/echo")
        client.putheader("content-length", str(len(sent)))
        client.endheaders()
        sending = threading.Thread(target=client.send, args=(sent,))
        sending.start()
        response = client.getresponse()
        body = response.read()
        sending.join()
    assert (response.status, body == sent) == (200, True)
    assert frames(dialback, "/echo") > before


# ---------------------------------------------------------------- answers


def test_an_unaware_function_is_served_as_it_is(dialback: Dialback) -> None:
    response, body = fetch(
        dialback, "/unaware/x%20y?q=1", "POST", body="hello", headers={"content-type": "text/plain"}
    )
    assert (response.status, body) == (201, b"you sent hello")
    assert response.getheader("x-saw") == "/unaware/x%20y"
    assert response.headers.get_all("set-cookie") == ["a=1; Path=/", "b=2"]
    assert response.getheader("content-length") == str(len(body))
    assert frames(dialback, "/unaware") == 0


def test_every_response_names_its_exchange(dialback: Dialback) -> None:
    for path in ("/unaware", "/status", "/before", "/none"):
        response, _ = fetch(dialback, path)
        assert re.fullmatch("[0-9a-f]{32}", response.getheader("x-dialback-exchange") or "")


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"a body"), (404, b"a body"), (204, b""), (304, b"")]
)
def test_a_streamed_status_and_its_body(dialback: Dialback, status: int, body: bytes) -> None:
    response, got = fetch(dialback, f"/status?status={status}")
    assert (response.status, got) == (status, body)
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]


def test_connections_stay_usable_whatever_the_status(dialback: Dialback) -> None:
    with Client(dialback) as client:
        for method, status in (
            ("GET", 200),
            ("HEAD", 200),
            ("GET", 204),
            ("GET", 304),
            ("GET", 200),
        ):
            client.request(method, f"/status?status={status}")
            response = client.getresponse()
            expected = b"a body" if (method, status) == ("GET", 200) else b""
            assert (response.status, response.read()) == (status, expected)


# ---------------------------------------------------------------- bad ends and bad input


def error_of(response: http.client.HTTPResponse, body: bytes) -> tuple[int, str]:
    described = json.loads(body)
    assert described["exchange"] == response.getheader("x-dialback-exchange")
    assert response.getheader("content-type") == "application/json"
    return response.status, described["error"]


def test_a_handler_that_raises_before_the_head_is_a_502(dialback: Dialback) -> None:
    status, error = error_of(*fetch(dialback, "/before"))
    assert (status, "secret" in error) == (502, False)
    eventually(lambda: "RuntimeError: before the head, with a secret" in dialback.stderr)


def test_a_handler_that_raises_after_the_head_never_ends_cleanly(dialback: Dialback) -> None:
    with Client(dialback) as client:
        client.request("GET", "/after")
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            client.getresponse().read()
    eventually(lambda: "RuntimeError: after the head" in dialback.stderr)


@pytest.mark.fault(38)
@pytest.mark.parametrize("path", ["/nonsense", "/exits"])
def test_a_function_without_a_usable_answer_is_a_502(dialback: Dialback, path: str) -> None:
    status, error = error_of(*fetch(dialback, path))
    assert (status, "function" in error) == (502, True)


def test_an_upload_that_nobody_read_is_a_502_that_names_the_setting(dialback: Dialback) -> None:
    status, error = error_of(*fetch(dialback, "/unaware", "POST", body=bytes(5 * MIB)))
    assert (status, "request_body" in error) == (502, True)


def test_an_unknown_path_is_a_404(dialback: Dialback) -> None:
    assert error_of(*fetch(dialback, "/none"))[0] == 404


def test_an_upgrade_is_a_501(dialback: Dialback) -> None:
    headers = {"connection": "upgrade", "upgrade": "websocket"}
    assert error_of(*fetch(dialback, "/ticks", headers=headers))[0] == 501


@pytest.mark.fault(29)
def test_a_client_that_leaves_stops_the_function(dialback: Dialback) -> None:
    overs = dialback.stderr.count("ticks over")
    with Client(dialback) as client:
        client.request("GET", "/ticks?n=1000&ms=20")
        assert client.getresponse().read1(6) == b"tick 0"
        states = {one["state"] for one in dialback.exchanges() if one["route"] == "/ticks"}
        assert "streaming" in states
    eventually(lambda: dialback.stderr.count("ticks over") > overs)
    eventually(
        lambda: dialback.metric("dialback_exchanges_total", route="/ticks", outcome="cancelled")
    )


@pytest.mark.parametrize("token", ["", "Bearer nonsense", "Basic abc"])
def test_a_stranger_cannot_attach(dialback: Dialback, token: str) -> None:
    request = (
        "GET /v1/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Protocol: dialback.v1\r\nAuthorization: {token}\r\n\r\n"
    )
    with socket.create_connection(
        ("127.0.0.1", dialback.callback_port), timeout=PATIENCE
    ) as stranger:
        stranger.sendall(request.encode())
        assert stranger.recv(4096).startswith(b"HTTP/1.1 401 ")


# ---------------------------------------------------------------- other gateways


def test_beyond_concurrency_and_queue_it_is_a_503_with_a_hint(tmp_path: Path) -> None:
    config, gate = tmp_path / "dialback.toml", tmp_path / "gate"
    config.write_text(
        f'[[routes]]\npath = "/"\ntarget = "local:{FUNCTIONS_ABSOLUTE}:waits"\nconcurrency = 1\nqueue = 1\n'
    )
    with running_dialback("--config", config, command="serve") as dialback:
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(fetch, dialback, f"/?gate={quote(str(gate))}") for _ in range(6)]
            eventually(lambda: sum(one.done() for one in asked) == 4)
            gate.touch()
        answers = [one.result()[0] for one in asked]
        assert sorted(answer.status for answer in answers) == [200, 200, 503, 503, 503, 503]
        assert {answer.getheader("retry-after") for answer in answers} == {None, "1"}


def test_an_inline_route_refuses_a_large_body_before_anything_runs(tmp_path: Path) -> None:
    config = tmp_path / "dialback.toml"
    config.write_text(f'[[routes]]\npath = "/"\ntarget = "local:{FUNCTIONS_ABSOLUTE}:unaware"\n')
    with running_dialback("--config", config, command="serve") as dialback:
        response, _ = fetch(dialback, "/", "POST", body=bytes(4 * MIB))
        assert response.status == 201
        status, error = error_of(*fetch(dialback, "/", "POST", body=bytes(4 * MIB + 1)))
        assert (status, "4194304" in error) == (413, True)
        assert dialback.metric("dialback_invokes_total") == 1


@pytest.mark.fault(20)
def test_sigterm_finishes_what_is_begun() -> None:
    with running_dialback(f"{FUNCTIONS}:ticks") as dialback:
        with Client(dialback) as client:
            client.request("GET", "/?n=20&ms=50")
            response = client.getresponse()
            assert response.read1(6) == b"tick 0"
            stopping = threading.Thread(target=dialback.process.stop)
            stopping.start()
            body = response.read()
        stopping.join()
        assert body.endswith(b"tick 19\n")
        assert dialback.process.popen.returncode == 0


def test_a_killed_gateway_makes_no_clean_end_even_of_a_body_that_its_connection_delimits() -> None:
    with (
        running_dialback(f"{FUNCTIONS}:ticks") as dialback,
        socket.create_connection(
            ("127.0.0.1", urlsplit(dialback.url).port or 0), PATIENCE
        ) as client,
    ):
        client.sendall(b"GET /?n=1000&ms=20 HTTP/1.0\r\n\r\n")
        body = b""
        while b"tick 0" not in body:
            body += client.recv(4096)
        dialback.process.popen.kill()
        with pytest.raises(ConnectionResetError):
            while client.recv(4096):
                pass


def test_a_body_that_its_connection_delimits_ends_cleanly() -> None:
    with running_dialback(f"{FUNCTIONS}:random_bytes") as dialback:
        address = ("127.0.0.1", urlsplit(dialback.url).port or 0)
        with socket.create_connection(address, PATIENCE) as client:
            client.sendall(b"GET /?total=3000000 HTTP/1.0\r\n\r\n")
            with client.makefile("rb") as reader:
                _, _, body = reader.read().partition(b"\r\n\r\n")
    assert body == b"".join(odd_chunks(3_000_000))
