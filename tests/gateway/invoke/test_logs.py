"""Lines of functions: split, bounded, and never in anyone's way."""

from __future__ import annotations

import asyncio
import os

import pytest

from gateway.invoke.local.limits import LOG_LINE_MAX
from gateway.invoke.local.logs import LogPipe, StderrLog
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


async def test_the_default_log_prefixes_lines() -> None:
    read_end, write_end = os.pipe()
    log = StderrLog(write_end)
    log("fn", "0123456789", "hello")
    log("fn", "", "importing")
    await asyncio.sleep(0)
    assert os.read(read_end, 4096) == b"fn 01234567 | hello\nfn init     | importing\n"
    os.close(read_end)
    os.close(write_end)


async def test_the_default_log_does_not_wait_for_its_reader() -> None:
    read_end, write_end = os.pipe()
    log = StderrLog(write_end)
    for number in range(20_000):
        log("fn", "", f"line {number}")
        if number % 1000 == 0:
            await asyncio.sleep(0)
    os.set_blocking(read_end, False)
    written = b""

    def read() -> bool:
        nonlocal written
        try:
            written += os.read(read_end, 1 << 20)
        except BlockingIOError:
            return False
        return b"lost: nobody reads" in written

    await until(read)
    assert written.startswith(b"fn init     | line 0\nfn init     | line 1\n")
    assert b"| line 9000\n" in written
    assert b"| line 19999\n" not in written
    os.close(read_end)
    os.close(write_end)


async def test_the_default_log_survives_a_reader_that_left() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    log = StderrLog(write_end)
    log("fn", "", "lost")
    await asyncio.sleep(0)
    os.close(write_end)
