"""What log lines look like, for machines and for people."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import pytest
from typing_extensions import override

from gateway import log

EXCHANGE: dict[str, Any] = {
    "exchange": "ab" * 16,
    "request_id": "",
    "method": "GET",
    "path": "/chat",
    "status": 200,
    "outcome": "completed",
    "ms": 1234.56,
    "bytes": 20_480,
    "resumes": 0,
    "calls": 1,
    "note": None,
    "route": "/",
}


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def logged(
    stream: io.StringIO,
    style: log.LogFormat,
    message: str,
    *args: object,
    name: str = "edge",
    level: log.LogLevel = "info",
    at: int = logging.INFO,
    **facts: object,
) -> str:
    """What one call of a logger makes of `stream`."""
    writer = log.set_up(level, style, stream)
    logging.getLogger(f"dialback.{name}").log(at, message, *args, extra=facts)
    writer.flush()
    return stream.getvalue()


def test_json_has_the_facts_as_keys() -> None:
    stream = io.StringIO()
    writer = log.set_up("info", "auto", stream)
    logging.getLogger("dialback.edge").info("GET %s", "/ä\n", extra={"status": 200, "route": None})
    logging.getLogger("dialback.edge").debug("not this")
    logging.getLogger("elsewhere").error("nor this")
    writer.flush()
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "level": "info",
        "logger": "dialback.edge",
        "message": "GET /ä\n",
        "status": 200,
        "route": None,
    }


@pytest.mark.parametrize("path", ["/ä", "/\udcff", "/\u2028", "/\x7f\x1b", "/\U0001f600"])
def test_json_is_ascii_on_one_line_whatever_a_client_sent(path: str) -> None:
    line = logged(io.StringIO(), "json", "GET %s", path, at_all=object)
    assert line.isascii()
    assert line.count("\n") == len(line.splitlines()) == 1
    assert json.loads(line)["message"] == f"GET {path}"
    assert json.loads(line)["at_all"] == "<class 'object'>"


def test_json_keeps_a_traceback_on_the_line() -> None:
    stream = io.StringIO()
    writer = log.set_up("error", "json", stream)
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("dialback.app").exception("failed")
    writer.flush()
    (line,) = stream.getvalue().splitlines()
    assert "KeyError: 'lost'" in json.loads(line)["exception"]


@pytest.mark.parametrize("library", log.OTHERS)
def test_what_libraries_warn_of_comes_the_same_way(library: str) -> None:
    stream = io.StringIO()
    writer = log.set_up("error", "json", stream)
    logging.getLogger(library).warning("a task was never awaited")
    logging.getLogger(library).info("not this")
    writer.flush()
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["logger"] == library


@pytest.mark.parametrize(("style", "stream"), [("text", io.StringIO()), ("auto", Terminal())])
def test_text_is_a_line_for_people(
    style: log.LogFormat, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    line = logged(stream, style, "slow", at=logging.WARNING, ms=5)
    assert re.fullmatch(r"\d\d:\d\d:\d\d warning edge: slow ms=5\n", line)


def test_text_cannot_be_made_two_lines_by_a_client() -> None:
    for name in ("edge", "access"):
        stream = io.StringIO()
        line = logged(stream, "text", "GET /a\n12:00:00 error", name=name, route="\x1b[31m")
        assert line.count("\n") == 1
        assert "\x1b" not in line


def test_text_shows_a_traceback() -> None:
    stream = io.StringIO()
    writer = log.set_up("info", "text", stream)
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("dialback.app").exception("failed")
    writer.flush()
    assert stream.getvalue().endswith("KeyError: 'lost'\n")


def test_exchanges_stand_in_columns_and_what_is_usual_is_left_out() -> None:
    line = logged(io.StringIO(), "text", "GET /chat", name="access", **EXCHANGE)
    rest = f"GET /chat exchange={'ab' * 16} route=/\n"
    assert line[9:] == f"200  completed    1,234.6 ms    20.5 kB  {rest}"
    other = EXCHANGE | {"status": None, "outcome": "cancelled", "ms": 0.1, "bytes": 7, "resumes": 2}
    line = logged(io.StringIO(), "text", "GET /chat", name="access", **other)
    assert line[9:].startswith("  -  cancelled        0.1 ms        7 B  GET /chat ")
    assert " resumes=2 " in line


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (999, "999 B"), (10**6, "1.0 MB"), (5 * 10**12, "5,000.0 GB")]
)
def test_sizes_are_readable(size: int, shown: str) -> None:
    line = logged(io.StringIO(), "text", "x", name="access", **(EXCHANGE | {"bytes": size}))
    assert f" {shown}  x " in line


@pytest.mark.parametrize(
    ("stream", "style", "environ", "coloured"),
    [
        (Terminal, "auto", {}, True),
        (Terminal, "text", {}, True),
        (Terminal, "json", {}, False),
        (Terminal, "auto", {"NO_COLOR": "1"}, False),
        (Terminal, "auto", {"NO_COLOR": ""}, True),
        (Terminal, "auto", {"TERM": "dumb"}, False),
        (io.StringIO, "text", {}, False),
    ],
)
def test_colours_are_for_terminals(
    stream: type[io.StringIO],
    style: log.LogFormat,
    environ: dict[str, str],
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    line = logged(stream(), style, "GET /", name="access", **EXCHANGE)
    assert ("\x1b[32mcompleted" in line) is coloured
    assert ("\x1b" in line) is coloured


def test_setting_up_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    log.set_up("info", "text", first)
    writer = log.set_up("info", "text", second)
    logging.getLogger("dialback.x").info("once")
    writer.flush()
    assert (first.getvalue(), second.getvalue().count("once")) == ("", 1)
