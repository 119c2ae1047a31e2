"""One application behind a server that is known, and behind dialback: the wire is the same."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.differential.cases import CASES, Case
from tests.differential.differences import COMMON, OF_WAITRESS, Difference, levelled
from tests.differential.wire import Answer, exchange
from tests.system.running import free_port, running, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = "tests.differential.app"
FILE = "tests/differential/app.py"


class Pair(NamedTuple):
    """Ports of the server that is known, and of dialback's edge."""

    known: int
    dialback: int


def _serve(stack: ExitStack, kind: str) -> Pair:
    port = free_port()
    if kind == "asgi":
        options = [f"--port={port}", "--lifespan=off", "--no-proxy-headers", "--no-access-log"]
        command = ["-m", "uvicorn", *options, f"{APP}:asgi_app"]
    else:
        command = ["-m", "waitress", f"--listen=127.0.0.1:{port}", f"{APP}:wsgi_app"]
    ready = "running" if kind == "asgi" else "Serving"
    stack.enter_context(running(sys.executable, *command, ready=ready))
    dialback = stack.enter_context(running_dialback(f"{FILE}:{kind}_handler"))
    return Pair(port, int(dialback.url.rpartition(":")[2]))


@pytest.fixture(scope="module")
def asgi_pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        yield _serve(stack, "asgi")


@pytest.fixture(scope="module")
def wsgi_pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        yield _serve(stack, "wsgi")


def compare(pair: Pair, case: Case, differences: list[Difference]) -> None:
    known, ours = (exchange(port, case.request, bodiless=case.method == "HEAD") for port in pair)
    if case.bodiless:
        assert ours.content == b""
    if case.breaks:
        _both_break(known, ours)
    else:
        assert levelled(ours, case, differences) == levelled(known, case, differences)


def _both_break(known: Answer, ours: Answer) -> None:
    """How far a broken answer comes depends on buffers; that it breaks must be seen.

    The servers that are known let it look whole if the failure comes behind the last promised byte,
    or cut what is too long. Dialback keeps the last byte back until the end is certain; what has not
    begun to arrive becomes a 502.
    """
    if ours.status.startswith(b"HTTP/1.1 502 "):
        assert ours.whole
        assert b"the function failed" in ours.content
    else:
        assert not ours.whole
        assert known.status == ours.status
        assert known.content.startswith(ours.content) or ours.content.startswith(known.content)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_asgi_behind_uvicorn_and_behind_dialback(asgi_pair: Pair, case: Case) -> None:
    compare(asgi_pair, case, COMMON)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_wsgi_behind_waitress_and_behind_dialback(wsgi_pair: Pair, case: Case) -> None:
    compare(wsgi_pair, case, [*COMMON, *OF_WAITRESS])


def test_there_are_enough_of_them() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 150


def test_a_difference_that_nobody_named_is_found(asgi_pair: Pair, wsgi_pair: Pair) -> None:
    case = Case("two servers", headers=[("X-A", b"1")])
    with pytest.raises(AssertionError):
        compare(Pair(asgi_pair.known, wsgi_pair.dialback), case, COMMON)
