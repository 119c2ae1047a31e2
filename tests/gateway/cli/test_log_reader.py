"""Nobody waits for whoever reads the log."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

from tests.patience import PATIENCE
from tests.system.running import COMMAND, eventually, free_port, parse_metrics

FUNCTIONS = Path(__file__).with_name("functions.py")
REQUESTS = 4500
"""10 MB of lines: 4 MiB may wait, and as much again be half-written where the writer comes late."""
LONG = "/missing/" + "x" * 1_000  # which the line has twice
PIPE = 64 * 1024
SLOW = 0.2
"""Seconds: no answer takes so long, unless the machine stalls."""


def test_a_reader_that_stands_still_stalls_no_request_and_is_told_what_it_missed(
    tmp_path: Path,
) -> None:
    config = tmp_path / "dialback.toml"
    config.write_text(f'[[routes]]\npath = "/here"\ntarget = "local:{FUNCTIONS}:plain"\n')
    ports = {name: free_port() for name in ("EDGE", "CALLBACK", "ADMIN")}
    environ = {f"DIALBACK_{name}": f"127.0.0.1:{port}" for name, port in ports.items()}
    read_end, write_end = os.pipe()
    dialback = subprocess.Popen(
        [COMMAND, "serve", "--config", config],
        env={**os.environ, **environ, "DIALBACK_LOG_FORMAT": "json"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=write_end,
    )
    os.close(write_end)
    admin = f"http://127.0.0.1:{ports['ADMIN']}"
    try:
        eventually(lambda: answers(f"{admin}/readyz"))
        slow = ask(ports["EDGE"])
        samples = parse_metrics(urlopen(f"{admin}/metrics", timeout=PATIENCE).read().decode())
        dropped = samples["dialback_log_lines_dropped_total", frozenset()]
        assert 0 < dropped < REQUESTS
        assert slow < dropped / 2, "whoever had waited for the reader would have with each line"
        assert b"log lines were lost" in read_all(dialback, read_end)
        assert dialback.returncode == 0
    finally:
        dialback.kill()
        dialback.wait()
        os.close(read_end)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=PATIENCE) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(port: int) -> int:
    """Ask many times for something whose line is long; how many of the answers took their time."""
    connection, slow = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE), 0
    for _ in range(REQUESTS):
        begun = time.monotonic()
        connection.request("GET", LONG)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 404
        slow += time.monotonic() - begun > SLOW
    connection.close()
    return slow


def read_all(dialback: subprocess.Popen[bytes], descriptor: int) -> bytes:
    """Begin to read; end the process, and return everything it wrote."""
    text = os.read(descriptor, PIPE)
    dialback.terminate()
    while piece := os.read(descriptor, 1 << 20):
        text += piece
    dialback.wait(PATIENCE)
    return text
