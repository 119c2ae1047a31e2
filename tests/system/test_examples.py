"""Every example does what it says, through a gateway that was started as its text tells."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import re
import shlex
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.system.running import REPOSITORY, eventually, running_dialback
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.running import Dialback

EXAMPLES = REPOSITORY / "deploy/examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))
COMMAND = re.compile(r"(dialback|curl|head) ")
INTERVAL = 0.25
"""Seconds between chunks: long enough that a busy machine does not glue two together."""


@dataclass
class Answer:
    """A response, as its chunks arrived."""

    status: int
    headers: http.client.HTTPMessage
    chunks: list[bytes] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.arrivals)]


@contextmanager
def serving(name: str) -> Iterator[Dialback]:
    """Run the example's own `dialback dev` command, with shorter waits."""
    interval = 0.03 if name == "chat.py" else INTERVAL
    _dialback, _dev, *args = shlex.split(documented_commands(name)[0])
    with running_dialback(*args, "--env", f"INTERVAL={interval}") as running:
        yield running


def documented_commands(name: str) -> list[str]:
    """The command lines in the text on top of an example."""
    text = (EXAMPLES / name).read_text().split('"""')[1]
    commands = [line.strip() for line in text.splitlines() if COMMAND.match(line.strip())]
    assert commands[0].startswith("dialback dev ")
    assert any(command.startswith("curl ") for command in commands)
    return commands


def ask(url: str, path: str, *, body: bytes | None = None) -> Answer:
    """Read one response chunk by chunk."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("POST" if body else "GET", path, body)
    response = connection.getresponse()
    answer = Answer(response.status, response.headers)
    while chunk := response.read1():
        answer.chunks.append(chunk)
        answer.arrivals.append(time.monotonic())
    connection.close()
    return answer


def frames(dialback: Dialback) -> float:
    return dialback.metric("dialback_data_frames_total")


def events(text: str) -> list[str]:
    """The data of each unnamed server-sent event."""
    return re.findall(r"^data: (.*)\n\n", text, re.MULTILINE)


def test_five_chunks_arrive_one_by_one() -> None:
    with serving("five_chunks.py") as dialback:
        answer = ask(dialback.url, "/")
        assert frames(dialback) >= 5
    assert answer.status == 200
    assert answer.chunks == [f"chunk {number} of 5\n".encode() for number in range(1, 6)]
    assert min(answer.gaps) > INTERVAL / 2


def test_first_chunk_is_here_while_the_function_still_runs() -> None:
    with serving("five_chunks.py") as dialback:
        connection = http.client.HTTPConnection(urlsplit(dialback.url).netloc, timeout=30)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.read1() == b"chunk 1 of 5\n"
        (exchange,) = dialback.exchanges()
        assert exchange["state"] == "streaming"
        assert exchange["id"] == response.headers["x-dialback-exchange"]
        connection.close()


def test_ten_events_then_the_end() -> None:
    with serving("sse.py") as dialback:
        answer = ask(dialback.url, "/events")
        streamed = frames(dialback)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    assert events(answer.text)[:10] == [f"event {number} of 10" for number in range(1, 11)]
    assert answer.text.endswith("event: end\ndata: that was all\n\n")
    assert len(answer.chunks) >= 10
    assert streamed >= 10
    assert answer.arrivals[-1] - answer.arrivals[0] > 9 * INTERVAL


def test_json_from_the_same_function_is_an_ordinary_answer() -> None:
    with serving("sse.py") as dialback:
        answer = ask(dialback.url, "/status")
        assert frames(dialback) == 0
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert json.loads(answer.body) == {"status": "ok", "path": "/status"}


@pytest.mark.parametrize(
    ("path", "kind", "chunks"),
    [
        ("/chunked", "text/plain", [b"foo\n", b"bar\n", b"baz\n"]),
        ("/sse", "text/event-stream", [b"data: foo\n\n", b"data: bar\n\n", b"data: baz\n\n"]),
    ],
)
def test_foo_bar_baz(path: str, kind: str, chunks: list[bytes]) -> None:
    with serving("foo_bar_baz.py") as dialback:
        answer = ask(dialback.url, path)
        assert frames(dialback) >= 3
    assert answer.headers["content-type"] == kind
    assert answer.chunks == chunks
    assert min(answer.gaps) > INTERVAL / 2


def test_csv_download_begins_before_its_last_row_exists() -> None:
    with serving("csv_download.py") as dialback:
        answer = ask(dialback.url, "/?rows=30000")
        assert frames(dialback) > 0
    assert answer.headers["content-disposition"] == 'attachment; filename="orders.csv"'
    lines = answer.text.splitlines()
    assert lines[0] == "order,day,customer,total"
    assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(1, 30_001)]
    assert max(answer.gaps) > INTERVAL / 2


@pytest.mark.parametrize("size", [0, 10_007, 100_000_007])
def test_upload_of_any_size_is_hashed_in_little_memory(size: int) -> None:
    upload = random.Random(size).randbytes(size)
    with serving("upload_hash.py") as dialback:
        answer = ask(dialback.url, "/", body=upload)
    result = json.loads(answer.body)
    assert result["bytes"] == size
    assert result["sha256"] == hashlib.sha256(upload).hexdigest()
    assert result["peak_memory_mib"] < 90, "the function held the whole upload"


def test_chat_answers_token_by_token() -> None:
    with serving("chat.py") as dialback:
        answer = ask(dialback.url, "/?q=really%3F")
        assert frames(dialback) > 20
    tokens = [json.loads(event)["token"] for event in events(answer.text)[:-1]]
    assert "".join(tokens).startswith("You asked: really? A Lambda function")
    assert answer.text.endswith("event: done\ndata: {}\n\n")
    assert len(answer.chunks) > 20


@pytest.mark.parametrize("name", NAMES)
def test_documented_commands(name: str, tmp_path: Path) -> None:
    require_program("curl")
    with serving(name) as dialback:
        port = str(urlsplit(dialback.url).port)
        for line in documented_commands(name)[1:]:
            command = line.replace("8080", port).replace("curl ", "curl --fail -sS ")
            done = subprocess.run(
                command, shell=True, cwd=tmp_path, capture_output=True, check=False
            )
            assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
            assert done.stdout or any(tmp_path.iterdir()), f"{command}: nothing came"


def test_readme_lists_every_command() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    for name in NAMES:
        commands = [c for c in documented_commands(name) if c.startswith(("dialback", "curl"))]
        missing = [command for command in commands if f"`{command}`" not in readme]
        assert not missing, f"deploy/examples/README.md lacks {missing}"


def test_finished_example_leaves_no_exchange_behind() -> None:
    with serving("chat.py") as dialback:
        ask(dialback.url, "/")
        eventually(lambda: [e["state"] for e in dialback.exchanges()] == ["completed"])
