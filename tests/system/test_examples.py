"""Every example does what it says, through a gateway that was started as its text tells."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import re
import shlex
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.patience import PATIENCE
from tests.system.running import REPOSITORY, eventually, running_dialback
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.running import Dialback

EXAMPLES = REPOSITORY / "deploy/examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))
COMMAND = re.compile(r"(dialback|curl|head) ")
INTERVAL = 0.05
"""Seconds that an example pauses where nothing depends on it."""


class Download:
    """A response that is read chunk by chunk.

    Attributes:
        status: of the response.
        headers: of the response.
        chunks: what was read so far, as it arrived.
    """

    def __init__(self, url: str, *, body: bytes | None = None) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
        target = f"{parts.path or '/'}?{parts.query}"
        self._connection.request("POST" if body else "GET", target, body)
        self._response = self._connection.getresponse()
        self.status, self.headers = self._response.status, self._response.headers
        self.chunks: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        """Every chunk until the end."""
        while chunk := self._response.read1():
            self.chunks.append(chunk)
            yield chunk
        self.close()

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def text(self) -> str:
        return self.body.decode()

    def until(self, mark: bytes) -> None:
        """Read on until `mark` was in the body."""
        for _ in self:
            if mark in self.body:
                return
        raise AssertionError(f"the body ended without {mark!r}")

    def rest(self) -> None:
        """Read on to the end."""
        for _ in self:
            continue

    def close(self) -> None:
        self._connection.close()


class Stepwise:
    """An example whose pauses are ended one by one.

    Attributes:
        dialback: serves it.
    """

    def __init__(self, dialback: Dialback, steps: Path) -> None:
        self.dialback = dialback
        self._steps = steps
        self._ended = 0

    def go_on(self) -> None:
        """End the pause that the function is in, or comes to next."""
        self._ended += 1
        (self._steps / str(self._ended)).touch()

    def download(self, path: str) -> Download:
        """Ask, and end a pause after each chunk that came: so none can have waited for the next."""
        answer = Download(self.dialback.url + path)
        for _ in answer:
            self.go_on()
        return answer


def whole(url: str, body: bytes | None = None) -> Download:
    answer = Download(url, body=body)
    answer.rest()
    return answer


@contextmanager
def serving(name: str) -> Iterator[Dialback]:
    """Run the example's own `dialback dev` command, with shorter waits."""
    _dialback, _dev, *args = shlex.split(documented_commands(name)[0])
    with running_dialback(*args, "--env", f"INTERVAL={INTERVAL}") as running:
        yield running


@pytest.fixture
def stepwise(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stepwise]:
    settings = ("--env", f"EXAMPLE={EXAMPLES / request.param}", "--env", f"STEPS={tmp_path}")
    with running_dialback("tests/system/functions/stepwise.py:handler", *settings) as dialback:
        yield Stepwise(dialback, tmp_path)


def stepping(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stepwise", [name], indirect=True, ids=[""])


def documented_commands(name: str) -> list[str]:
    """The command lines in the text on top of an example."""
    text = (EXAMPLES / name).read_text().split('"""')[1]
    commands = [line.strip() for line in text.splitlines() if COMMAND.match(line.strip())]
    assert commands[0].startswith("dialback dev ")
    assert any(command.startswith("curl ") for command in commands)
    return commands


def frames(dialback: Dialback) -> float:
    return dialback.metric("dialback_data_frames_total")


def events(text: str) -> list[str]:
    """The data of each unnamed server-sent event."""
    return re.findall(r"^data: (.*)\n\n", text, re.MULTILINE)


@stepping("five_chunks.py")
def test_five_chunks_arrive_one_by_one(stepwise: Stepwise) -> None:
    answer = stepwise.download("/")
    assert frames(stepwise.dialback) >= 5
    assert answer.status == 200
    assert answer.chunks == [f"chunk {number} of 5\n".encode() for number in range(1, 6)]


@stepping("five_chunks.py")
def test_first_chunk_is_here_while_the_function_still_runs(stepwise: Stepwise) -> None:
    answer = Download(stepwise.dialback.url)
    assert next(iter(answer)) == b"chunk 1 of 5\n"
    (exchange,) = stepwise.dialback.exchanges()
    assert exchange["state"] == "streaming"
    assert exchange["id"] == answer.headers["x-dialback-exchange"]
    for _ in range(4):
        stepwise.go_on()
    answer.rest()
    assert answer.text.endswith("chunk 5 of 5\n")


@stepping("sse.py")
def test_ten_events_then_the_end(stepwise: Stepwise) -> None:
    answer = stepwise.download("/events")
    assert frames(stepwise.dialback) >= 10
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    assert [events(chunk.decode()) for chunk in answer.chunks[:10]] == [
        [f"event {number} of 10"] for number in range(1, 11)
    ]
    assert answer.text.endswith("event: end\ndata: that was all\n\n")


def test_json_from_the_same_function_is_an_ordinary_answer() -> None:
    with serving("sse.py") as dialback:
        answer = whole(f"{dialback.url}/status")
        assert frames(dialback) == 0
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert json.loads(answer.body) == {"status": "ok", "path": "/status"}


@stepping("foo_bar_baz.py")
@pytest.mark.parametrize(
    ("path", "kind", "chunks"),
    [
        ("/chunked", "text/plain", [b"foo\n", b"bar\n", b"baz\n"]),
        ("/sse", "text/event-stream", [b"data: foo\n\n", b"data: bar\n\n", b"data: baz\n\n"]),
    ],
)
def test_foo_bar_baz(stepwise: Stepwise, path: str, kind: str, chunks: list[bytes]) -> None:
    answer = stepwise.download(path)
    assert frames(stepwise.dialback) >= 3
    assert answer.headers["content-type"] == kind
    assert answer.chunks == chunks


@stepping("csv_download.py")
def test_csv_download_begins_before_its_last_row_exists(stepwise: Stepwise) -> None:
    answer = Download(f"{stepwise.dialback.url}/?rows=30000")
    for last_of_page in (b"\n10000,", b"\n20000,"):
        answer.until(last_of_page)
        stepwise.go_on()
    answer.rest()
    assert answer.headers["content-disposition"] == 'attachment; filename="orders.csv"'
    lines = answer.text.splitlines()
    assert lines[0] == "order,day,customer,total"
    assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(1, 30_001)]
    assert frames(stepwise.dialback) > 0


@pytest.mark.parametrize("size", [0, 10_007, 100_000_007])
def test_upload_of_any_size_is_hashed_in_little_memory(size: int) -> None:
    upload = random.Random(size).randbytes(size)
    with serving("upload_hash.py") as dialback:
        answer = whole(dialback.url, body=upload)
    result = json.loads(answer.body)
    assert result["bytes"] == size
    assert result["sha256"] == hashlib.sha256(upload).hexdigest()
    assert result["peak_memory_mib"] < 90, "the function held the whole upload"


@stepping("chat.py")
def test_chat_answers_token_by_token(stepwise: Stepwise) -> None:
    answer = stepwise.download("/?q=really%3F")
    assert frames(stepwise.dialback) > 20
    *chunks, done = answer.chunks
    tokens = [json.loads(token)["token"] for chunk in chunks for token in events(chunk.decode())]
    assert len(tokens) == len(chunks) > 20
    assert "".join(tokens).startswith("You asked: really? A Lambda function")
    assert done == b"event: done\ndata: {}\n\n"


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
        whole(dialback.url)
        eventually(lambda: [e["state"] for e in dialback.exchanges()] == ["completed"])
