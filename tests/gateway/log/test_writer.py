"""Whoever logs waits for nobody."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from typing_extensions import override

from gateway import log
from gateway.log import LineWriter
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

LINE = "x" * 99 + "\n"


def pipe() -> tuple[int, TextIO]:
    read_end, write_end = os.pipe()
    return read_end, os.fdopen(write_end, "w")


def read_until(descriptor: int, enough: Callable[[str], bool]) -> str:
    """Read until it is enough."""
    text = ""
    deadline = time.monotonic() + PATIENCE
    while not enough(text):
        assert time.monotonic() < deadline, text[-500:]
        text += os.read(descriptor, 1 << 16).decode()
    return text


def test_lines_are_written_in_order_from_any_thread() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)

    def write(number: int) -> None:
        for count in range(500):
            writer.put(f"{number} {count}\n")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.flush()
    lines = [line.split() for line in stream.getvalue().splitlines()]
    for number in range(4):
        assert [i for n, i in lines if n == str(number)] == [str(i) for i in range(500)]


def test_a_reader_that_stands_still_stops_nobody_and_learns_what_it_missed() -> None:
    read_end, stream = pipe()
    writer = LineWriter(stream, limit=100 * len(LINE))
    for _ in range(20_000):  # a pipe takes 655; whoever waited for the reader would wait for ever
        writer.put(LINE)
    assert 20_000 > writer.dropped > 18_000

    def all_are_told_of(text: str) -> bool:
        lost = sum(map(int, re.findall(r"\((\d+) log lines were lost\)\n", text)))
        return text.count(LINE) + lost == 20_000

    text = read_until(read_end, all_are_told_of)
    assert text.count(LINE) + writer.dropped == 20_000
    writer.put("and on\n", urgent=True)
    assert read_until(read_end, lambda text: "\n" in text) == "and on\n"
    os.close(read_end)


def test_a_reader_that_left_costs_the_lines_and_no_more() -> None:
    read_end, stream = pipe()
    os.close(read_end)
    writer = LineWriter(stream)
    for _ in range(3):
        writer.put(LINE)
        writer.flush()
    assert writer.dropped == 3


def test_what_is_urgent_does_not_wait_for_company() -> None:
    class Watched(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.flushed = threading.Event()

        @override
        def flush(self) -> None:
            self.flushed.set()

    stream = Watched()
    writer = LineWriter(stream)
    writer.put("first\n")
    writer.put("worse\n", urgent=True)
    assert stream.flushed.wait(PATIENCE)
    assert stream.getvalue() == "first\nworse\n"


def test_a_closed_writer_takes_nothing_more() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    writer.put("last\n")
    writer.close()
    writer.put("too late\n")
    assert (stream.getvalue(), writer.dropped) == ("last\n", 1)


def test_nothing_is_lost_at_the_end_of_the_process_and_no_reader_holds_it_up() -> None:
    """A process that ends writes what waits; if nobody takes it, it ends all the same."""
    program = (
        "import logging, sys; from gateway import log; log.set_up('info', 'json', sys.stderr);"
        "[logging.getLogger('dialback.x').info('x' * 1000) for _ in range(int(sys.argv[1]))]"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "50"], stderr=subprocess.PIPE, timeout=PATIENCE, check=True
    )
    assert done.stderr.count(b"\n") == 50
    read_end, write_end = os.pipe()
    stuck = subprocess.Popen([sys.executable, "-c", program, "5000"], stderr=write_end)
    assert stuck.wait(PATIENCE) == 0
    os.close(read_end)
    os.close(write_end)


def test_one_stream_has_one_writer() -> None:
    stream = io.StringIO()
    assert log.set_up("info", "text", stream) is log.set_up("info", "json", stream)
    logging.getLogger("dialback.x").info("lost")
