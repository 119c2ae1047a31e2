"""The lines of requests that never reach a driver, and what of a request is shown."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.edge import access
from gateway.edge.access import AccessLog
from tests.gateway.edge.serving import answer, edge, get
from tests.patience import PATIENCE


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    records = [one for one in caplog.records if one.name == "dialback.access"]
    return [{**vars(one), "message": one.getMessage()} for one in records]


async def line_of(request: bytes, caplog: pytest.LogCaptureFixture, **route: Any) -> dict[str, Any]:
    caplog.set_level("INFO", "dialback.access")
    async with edge(answer(b"12345"), **route) as it, asyncio.timeout(PATIENCE):
        await it.ask(request)
    (line,) = lines(caplog)
    return line


@pytest.mark.parametrize(
    ("method", "headers", "status", "reason"),
    [
        ("GET", (), 405, "method_not_allowed"),
        ("CONNECT", (), 501, "upgrade_not_supported"),
        ("POST", ("Connection: upgrade", "Upgrade: h3"), 501, "upgrade_not_supported"),
    ],
)
async def test_what_is_refused_has_its_line(
    method: str,
    headers: tuple[str, ...],
    status: int,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = await line_of(get("/", *headers, method=method), caplog, methods=frozenset({"POST"}))
    assert (line["outcome"], line["reason"], line["status"]) == ("refused", reason, status)
    assert (line["route"], line["method"], line["levelname"]) == (None, method, "INFO")


async def test_what_cannot_be_read_has_one_too(caplog: pytest.LogCaptureFixture) -> None:
    line = await line_of(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", caplog)
    assert (line["outcome"], line["reason"], line["status"]) == ("refused", "bad_request", 400)
    assert line["message"] == "unreadable request"


async def test_a_long_path_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    line = await line_of(get("/" + "x" * 5000), caplog)
    assert line["path"] == "/" + "x" * (access.PATH_SHOWN - 1) + "..."
    assert line["message"] == f"GET {line['path']}"


@pytest.mark.parametrize("shown", [True, False])
async def test_a_query_is_shown_to_those_who_ask_for_it(
    shown: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dialback.access")
    async with edge(answer(b"12345")) as it:
        it.handler.access = AccessLog(query=shown)
        await it.ask(get("/path?q=1"))
        await it.ask(get("/path"))
    assert [line["path"] for line in lines(caplog)] == ["/path?q=1" if shown else "/path", "/path"]


async def test_no_header_but_the_trace_is_told(caplog: pytest.LogCaptureFixture) -> None:
    headers = ("Authorization: Bearer s3cret", "Cookie: s3cret", "X-Api-Key: s3cret")
    line = await line_of(get("/path?token=s3cret", *headers), caplog)
    assert "s3cret" not in str(line)
    assert line["trace"].startswith("Root=1-")
    assert line["traceparent"].startswith("00-")
