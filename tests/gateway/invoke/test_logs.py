"""Lines of functions: split, bounded, and never in anyone's way."""

from __future__ import annotations

import io
import os

import pytest

from gateway.invoke.local.limits import LOG_LINE_MAX
from gateway.invoke.local.logs import LogPipe, StderrLog
from gateway.log import LineWriter
from tests.gateway.invoke.emulated import until


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\rc\n", ["a", "b", "c"]),
        (b"\n\n", ["", ""]),
        (b"no end", ["no end"]),
        (b"", []),
        ("[ERROR] X\r\u00a0\u00a0in f\n".encode(), ["[ERROR] X", "  in f"]),
        (b"\xff\n", ["\ufffd"]),
        (b"x" * (LOG_LINE_MAX + 1) + b"\n", ["x" * LOG_LINE_MAX, "x"]),
    ],
)
async def test_bytes_become_lines(written: bytes, lines: list[str]) -> None:
    seen: list[str] = []
    pipe = LogPipe(seen.append)
    os.write(pipe.write_end, written)
    pipe.drain()
    pipe.close()
    assert seen == lines


async def test_a_flush_ends_the_last_line() -> None:
    seen: list[str] = []
    pipe = LogPipe(seen.append)
    os.write(pipe.write_end, b"a\nno end")
    pipe.flush()
    pipe.flush()
    assert seen == ["a", "no end"]
    os.write(pipe.write_end, b"b\n")
    pipe.close()
    assert seen == ["a", "no end", "b"]


async def test_lines_arrive_without_anyone_asking() -> None:
    seen: list[str] = []
    pipe = LogPipe(seen.append)
    os.write(pipe.write_end, b"half a ")
    os.write(pipe.write_end, b"line\n")
    await until(lambda: seen)
    assert seen == ["half a line"]
    pipe.close()


def test_the_default_log_prefixes_lines() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    log = StderrLog(writer)
    log("fn", "", "importing")
    log("fn", "0123456789", "hello", "world")
    writer.flush()
    assert stream.getvalue() == (
        "fn init     | importing\nfn 01234567 | hello\nfn 01234567 | world\n"
    )
