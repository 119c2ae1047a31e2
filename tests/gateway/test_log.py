from __future__ import annotations

import io
import json
import logging
import re
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from gateway import log

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    logger = logging.getLogger(log.ROOT)
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def test_json_has_the_facts_as_keys() -> None:
    stream = io.StringIO()
    log.set_up("info", "auto", stream)
    logging.getLogger("dialback.edge").info("GET %s", "/ä\n", extra={"status": 200, "route": None})
    logging.getLogger("dialback.edge").debug("not this")
    logging.getLogger("elsewhere").error("nor this")
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


def test_json_keeps_a_traceback_on_the_line() -> None:
    stream = io.StringIO()
    log.set_up("error", "json", stream)
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("dialback.app").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "KeyError: 'lost'" in json.loads(line)["exception"]


@pytest.mark.parametrize(("style", "stream"), [("text", io.StringIO()), ("auto", Terminal())])
def test_text_is_a_line_for_people(style: log.LogFormat, stream: io.StringIO) -> None:
    log.set_up("debug", style, stream)
    logging.getLogger("dialback.edge").warning("slow", extra={"ms": 5})
    assert re.fullmatch(r"\d\d:\d\d:\d\d warning edge: slow ms=5\n", stream.getvalue())


def test_text_cannot_be_made_two_lines_by_a_client() -> None:
    stream = io.StringIO()
    log.set_up("info", "text", stream)
    logging.getLogger("dialback.edge").info("GET /a\n12:00:00 error", extra={"route": "\x1b[31m"})
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_text_shows_a_traceback() -> None:
    stream = io.StringIO()
    log.set_up("info", "text", stream)
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("dialback.app").exception("failed")
    assert stream.getvalue().endswith("KeyError: 'lost'\n")


def test_setting_up_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    log.set_up("info", "text", first)
    log.set_up("info", "text", second)
    logging.getLogger("dialback.x").info("once")
    assert (first.getvalue(), second.getvalue().count("once")) == ("", 1)
