"""Real clients, with and without nginx in between; uploads that are refused, or broken, before or while they come."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest

from tests.patience import PATIENCE
from tests.system.functions.pipe import odd_chunks
from tests.system.nginx import running_nginx
from tests.system.running import REPOSITORY, Dialback, eventually, running_dialback
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

MIB = 1 << 20
LIMIT = 100_000
"""Bytes of body that the `inline` route takes."""

ROUTES = """
[[routes]]
path = "/echo"
target = "local:{file}:echo"
request_body = "stream"

[[routes]]
path = "/spill"
target = "local:{file}:hash_upload"
request_body = "spill"
inline_body_max = {limit}

[[routes]]
path = "/inline"
target = "local:{file}:hash_upload"
inline_body_max = {limit}

[[routes]]
path = "/unaware"
target = "local:{file}:unaware"
"""


@pytest.fixture(scope="module")
def dialback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dialback]:
    file = tmp_path_factory.mktemp("clients") / "dialback.toml"
    functions = REPOSITORY / "tests/system/functions/pipe.py"
    file.write_text(ROUTES.format(file=functions, limit=LIMIT))
    with running_dialback("--config", file, command="serve") as dialback:
        yield dialback


@pytest.fixture(scope="module", params=["direct", "buffering on", "buffering off"])
def url(
    dialback: Dialback, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Where a client goes: straight in, or to an nginx that buffers both bodies, or neither."""
    if request.param == "direct":
        yield dialback.url
        return
    switch = request.param.split()[1]
    settings = [f"proxy_buffering {switch}", f"proxy_request_buffering {switch}"]
    with running_nginx(tmp_path_factory.mktemp("nginx"), dialback.url, *settings) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def body() -> bytes:
    return b"".join(odd_chunks(3 * MIB))


def curl(*arguments: str, sent: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = require_program("curl")
    argv = [program, "--silent", "--show-error", "--max-time", "30", *arguments]
    return subprocess.run(argv, input=sent, capture_output=True, check=False)


# ---------------------------------------------------------------- whole exchanges


@pytest.mark.parametrize(
    "flags",
    [
        ["--http1.0"],
        ["--http1.1"],
        ["--http2"],  # an offer of h2c, which is ignored
        ["--http1.1", "--header", "Transfer-Encoding: chunked"],
        ["--http1.1", "--header", "Expect: 100-continue"],
        ["--http1.1", "--header", "Expect:"],
    ],
    ids=" ".join,
)
def test_curl_gets_back_what_it_sends(url: str, body: bytes, flags: list[str]) -> None:
    done = curl(*flags, "--data-binary", "@-", f"{url}/echo", sent=body)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == body


def test_curl_keeps_its_connection(url: str) -> None:
    target = f"{url}/unaware"
    done = curl("--output", "/dev/null", "--write-out", "%{http_code} %{num_connects};", target,
                "--next", "--head", "--output", "/dev/null", "--write-out", "%{http_code} %{num_connects};", target,
                "--next", "--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{num_connects};", target)  # fmt: skip
    statuses = done.stdout.decode().split(";")[:-1]
    assert [one.split()[1] for one in statuses] == ["1", "0", "0"]
    assert len({one.split()[0] for one in statuses}) == 1


def test_httpx_gets_back_what_it_sends(url: str, body: bytes) -> None:
    with httpx.Client(timeout=PATIENCE) as client:
        for content in (body, odd_chunks(3 * MIB)):  # by length, and in chunks
            response = client.post(f"{url}/echo", content=content)
            assert (response.status_code, response.content == body) == (200, True)


async def test_aiohttp_gets_back_what_it_sends(url: str, body: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in odd_chunks(3 * MIB):
            yield chunk

    async with aiohttp.ClientSession() as session:
        makes: list[Callable[[], object]] = [lambda: io.BytesIO(body), chunks]
        for make in makes:
            async with session.post(f"{url}/echo", data=make()) as response:
                assert (response.status, await response.read() == body) == (200, True)


# ---------------------------------------------------------------- uploads beyond the event


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1, 3 * MIB])
def test_what_spills_arrives_as_it_was_sent(dialback: Dialback, size: int) -> None:
    sent = b"".join(odd_chunks(size))
    for content in (sent, odd_chunks(size)):
        report = httpx.post(f"{dialback.url}/spill", content=content, timeout=PATIENCE).json()
        assert (report["size"], report["sha256"]) == (size, hashlib.sha256(sent).hexdigest())


def invoked(dialback: Dialback) -> float:
    return dialback.metric("dialback_invokes_total", route="/inline")


def refused(response: httpx.Response) -> bool:
    reason = f"the request body is over the {LIMIT} bytes that this route takes"
    return (response.status_code, response.json()["error"]) == (413, reason)


def test_beyond_the_limit_is_413_with_a_reason_and_nothing_is_invoked(dialback: Dialback) -> None:
    url, before = f"{dialback.url}/inline", invoked(dialback)
    assert refused(httpx.post(url, content=bytes(LIMIT + 1), timeout=PATIENCE))
    assert refused(httpx.post(url, content=iter([bytes(LIMIT), b"x"]), timeout=PATIENCE))
    assert invoked(dialback) == before
    assert httpx.post(url, content=bytes(LIMIT), timeout=PATIENCE).json()["size"] == LIMIT
    eventually(lambda: invoked(dialback) == before + 1)


def test_a_body_that_is_refused_by_its_length_is_never_asked_for(dialback: Dialback) -> None:
    with connect(dialback) as client:
        head = f"POST /inline HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
        client.sendall(head.encode())
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"\r\nConnection: close\r\n" in answer
    assert "the request body is over" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


BEGUN = "POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"


@pytest.mark.parametrize("path", ["/inline", "/spill"])
def test_a_wrongly_framed_body_of_an_event_is_400(dialback: Dialback, path: str) -> None:
    with connect(dialback) as client:
        client.sendall(BEGUN.format(path).encode() + b"nonsense\r\n")
        answer = read_all(client)
    assert answer.split(b" ", 2)[1] == b"400"


@pytest.mark.fault(31)
def test_a_wrongly_framed_body_breaks_the_response_that_has_begun(dialback: Dialback) -> None:
    with connect(dialback) as client:
        client.sendall(BEGUN.format("/echo").encode())
        answer = b""
        while not answer.endswith(b"5\r\nabcde\r\n"):
            answer += client.recv(65_536)
        client.sendall(b"nonsense\r\n")
        assert read_all(client) == b""  # and no last chunk


def connect(dialback: Dialback) -> socket.socket:
    parts = urlsplit(dialback.url)
    return socket.create_connection((str(parts.hostname), parts.port or 0), timeout=PATIENCE)


def read_all(client: socket.socket) -> bytes:
    got = b""
    try:
        while data := client.recv(65_536):
            got += data
    except ConnectionResetError:
        pass
    return got
