"""Getting a connection: which address, how often, what happens when there is none; and reuse."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from lambda_client import GatewayUnreachable, later, loop, request_body, streaming
from lambda_client.running import running_session
from lambda_client.timing import Timing
from protocol.codec import encode
from protocol.errors import GoawayCode
from protocol.frames import Data, Goaway
from protocol.limits import RECEIPT_BODY_MAX, SUBPROTOCOL
from protocol.probe import parse_report
from tests.lambda_client.gateway import (
    Gateway,
    context,
    event,
    eventually,
    receipt_of,
    silent_address,
)
from tests.lambda_client.handlers import attached, call, warm
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lambda_client.conftest import Hurry

NOBODY = "ws://127.0.0.1:9"
"""The discard port: nobody listens there."""


@pytest.fixture
def impatient(hurry: Hurry) -> None:
    hurry(patience=0.2)


# ---------------------------------------------------------------- the request


def test_the_upgrade_is_asked_for_as_the_document_says(gateway: Gateway) -> None:
    warm(gateway)
    request = gateway.requests[0]
    exchange = next(iter(gateway.exchanges.values()))
    assert (request.method, request.path) == ("GET", "/v1/attach")
    assert request.headers["Authorization"] == f"Bearer {exchange.envelope.token}"
    assert request.headers["Sec-WebSocket-Protocol"] == SUBPROTOCOL
    assert "Sec-WebSocket-Extensions" not in request.headers
    assert request.query_string == ""


def test_a_proxy_of_the_environment_is_not_used(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    warm(gateway)
    assert len(gateway.requests) == 1


def test_no_token_reaches_a_log(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        warm(gateway)
    assert "token-" not in caplog.text


# ---------------------------------------------------------------- which address


def test_the_second_address_is_tried_after_the_first(gateway: Gateway) -> None:
    exchange = gateway.exchange(urls=(NOBODY, gateway.url))

    @streaming
    def handler(event: Any, context: Any) -> Iterator[str]:
        attached(exchange)
        yield "x"

    assert call(handler, exchange).status == "end"
    assert exchange.body == b"x"


def test_an_overloaded_gateway_is_asked_again(gateway: Gateway) -> None:
    answers = iter([web.Response(status=503), None])
    gateway.refuse = lambda _: next(answers)
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[str]:
        attached(exchange)
        yield "x"

    receipt = call(handler, exchange)
    assert receipt.status == "end"
    assert receipt.dial is None, "it was reached"
    assert len(gateway.requests) == 2


def test_an_answer_that_is_quicker_than_the_next_attempt_says_what_the_first_met(
    gateway: Gateway,
) -> None:
    gateway.refuse = lambda _: web.Response(status=503, headers={"Retry-After": "60"})
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[str]:
        yield "x"
        session = running_session()
        assert session is not None
        eventually(lambda: session.dial_failure)

    receipt = call(handler, exchange)
    assert (receipt.status, receipt.tail) == ("end", (0, b"x"))
    assert receipt.dial is not None
    assert "HTTP 503" in receipt.dial


def test_a_refusal_that_repeats_the_request_does_not_give_the_token_away(gateway: Gateway) -> None:
    def echo(request: web.BaseRequest) -> web.Response:
        return web.Response(status=503, text="x" * 180 + request.headers["Authorization"])

    gateway.refuse = echo
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[str]:
        yield "x"
        session = running_session()
        assert session is not None
        eventually(lambda: session.dial_failure)

    dial = call(handler, exchange).dial
    assert dial is not None
    assert dial.endswith("Bearer (token)")
    assert exchange.envelope.token[:8] not in dial


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_for_good_is_not_asked_again(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    gateway.refuse = lambda _: web.Response(status=status, text="the gateway's reason")
    exchange = gateway.exchange()
    released = threading.Event()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[str]:
        yield "x" * 70_000
        eventually(lambda: caplog.records)
        released.set()

    with caplog.at_level(logging.WARNING, "dialback"):
        receipt = call(handler, exchange)
    assert released.is_set()
    assert len(gateway.requests) == 1
    assert receipt.dial is not None
    assert str(status) in receipt.dial
    assert gateway.url in receipt.dial
    assert receipt.tail == (0, b"x" * 70_000)
    assert exchange.envelope.token not in caplog.text


# ---------------------------------------------------------------- nobody there


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("size", [70_000, 1_000_000, RECEIPT_BODY_MAX])
def test_the_body_returns_with_the_invocation(gateway: Gateway, size: int) -> None:
    exchange = gateway.exchange(urls=(NOBODY,))

    def chunks() -> Iterator[Any]:
        yield {"statusCode": 201}
        for start in range(0, size, 100_000):
            yield b"x" * min(100_000, size - start)

    receipt = call(streaming(lambda e, c: chunks()), exchange)
    assert receipt.status == "end"
    assert receipt.head is not None
    assert receipt.head[0] == 201
    assert receipt.tail == (0, b"x" * size)
    assert receipt.dial is not None
    assert NOBODY in receipt.dial
    records = exchange.stream.apply_receipt(receipt)
    assert b"".join(r.data for r in records if isinstance(r, Data)) == b"x" * size


@pytest.mark.usefixtures("impatient")
def test_a_larger_body_fails_and_names_the_address(gateway: Gateway) -> None:
    exchange = gateway.exchange(urls=(NOBODY,))
    handler = streaming(lambda e, c: {"statusCode": 200, "body": b"x" * (RECEIPT_BODY_MAX + 1)})
    with pytest.raises(GatewayUnreachable, match=NOBODY):
        call(handler, exchange)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_request_body_that_cannot_be_fetched_names_the_address(
    gateway: Gateway, *, asynchronous: bool
) -> None:
    exchange = gateway.exchange(urls=(NOBODY,), upload=b"x")

    async def read(event: Any, context: Any) -> Any:
        return {"statusCode": 200, "body": await anext(request_body(event))}

    def handler(event: Any, context: Any) -> Any:
        return {"statusCode": 200, "body": next(request_body(event))}

    with pytest.raises(GatewayUnreachable, match=NOBODY):
        call(streaming(read if asynchronous else handler), exchange)


def test_patience_is_capped_by_the_time_left(gateway: Gateway, hurry: Hurry) -> None:
    hurry(share=0.02)
    exchange = gateway.exchange(urls=(NOBODY,))
    began = time.monotonic()
    handler = streaming(lambda e, c: {"statusCode": 200, "body": b"x" * 300_000})
    receipt = receipt_of(handler(event(exchange), context(exchange, seconds=30)))
    assert time.monotonic() - began < Timing().patience
    assert receipt.tail is not None
    assert receipt.tail[0] == 0


def test_a_gateway_that_accepts_and_says_nothing(gateway: Gateway, hurry: Hurry) -> None:
    hurry(patience=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        exchange = gateway.exchange(urls=(url,))
        handler = streaming(lambda e, c: {"statusCode": 200, "body": b"x" * 300_000})
        receipt = call(handler, exchange)
    assert receipt.dial is not None
    assert "in time" in receipt.dial


# ---------------------------------------------------------------- reuse


def test_a_parked_connection_is_reused_and_answers_pings(gateway: Gateway) -> None:
    warm(gateway)
    warm(gateway)
    assert len(gateway.requests) == 1
    assert gateway.parked == 1


def test_a_connection_cut_while_parked_is_dialled_anew(gateway: Gateway) -> None:
    for _ in range(5):
        warm(gateway)
        gateway.cut()
        exchange = gateway.exchange()
        big = streaming(lambda e, c: {"statusCode": 200, "body": b"x" * 70_000})
        assert call(big, exchange).status == "end"
        assert len(exchange.body) == 70_000
        gateway.cut()


def test_a_connection_idle_for_long_is_not_tried(gateway: Gateway, hurry: Hurry) -> None:
    warm(gateway)
    hurry(idle=0.0)
    warm(gateway)
    assert len(gateway.requests) == 2


def test_a_gateway_that_goes_away_is_left(gateway: Gateway) -> None:
    warm(gateway)
    (waiting,) = loop.io_thread()._parked.values()
    gateway.say(encode(Goaway(GoawayCode.DRAINING, 1000, None)))
    eventually(lambda: not waiting.connection.untouched())  # it has come
    warm(gateway)
    assert len(gateway.requests) == 2


def test_a_dial_that_came_too_late_serves_the_next(gateway: Gateway) -> None:
    answered = threading.Event()

    def late(_: web.BaseRequest) -> None:
        answered.wait(PATIENCE)

    gateway.refuse = late

    @streaming
    def handler(event: Any, context: Any) -> Iterator[str]:
        eventually(lambda: gateway.requests)
        yield "small"

    assert call(handler, gateway.exchange()).tail == (0, b"small")
    answered.set()
    eventually(lambda: gateway.url in loop.io_thread()._parked)
    warm(gateway)
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("doomed", [False, True])
def test_a_dial_left_behind_is_raced(gateway: Gateway, hurry: Hurry, doomed: bool) -> None:
    """It may be nearly there, or belong to a connection that a freeze has killed."""
    hurry(attempt=2 * PATIENCE)  # whoever waits for the end of that one runs out of patience
    answered = threading.Event()

    @streaming
    def small(event: Any, context: Any) -> Iterator[str]:
        yield "small"

    @streaming
    def large(event: Any, context: Any) -> Iterator[bytes]:
        answered.set()
        yield b"x" * 300_000

    def late(request: web.BaseRequest) -> None:
        if not doomed:
            answered.wait(PATIENCE)

    with silent_address() as url:
        left = gateway.exchange(urls=(url,)) if doomed else gateway.exchange()
        gateway.refuse = late
        assert call(small, left).tail == (0, b"small")
        exchange = gateway.exchange()
        assert call(large, exchange).tail is None
    assert len(exchange.body) == 300_000
    eventually(lambda: gateway.parked >= 1)


def test_after_a_fork_the_child_makes_its_own_thread(gateway: Gateway) -> None:
    warm(gateway)
    parent = loop.io_thread()
    child = os.fork()
    if child == 0:
        try:
            fresh = loop.io_thread()
            ran = threading.Event()
            fresh.submit(ran.set)
            os._exit(0 if fresh is not parent and ran.wait(PATIENCE) else 1)
        except BaseException:  # noqa: BLE001 - nothing of the test runner may run in the child
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert loop.io_thread() is parent
    warm(gateway)
    assert len(gateway.requests) == 1


# ---------------------------------------------------------------- messages


def test_a_goodbye_that_was_not_read_yet_is_seen_before_use(gateway: Gateway) -> None:
    """As after a thaw: the bytes wait in the kernel, and the loop has not looked."""
    warm(gateway)
    io = loop.io_thread()
    hold, held = threading.Event(), threading.Event()

    def block() -> None:
        held.set()
        hold.wait(PATIENCE)

    io.submit(block)
    assert held.wait(PATIENCE)
    gateway.cut()
    exchange = gateway.exchange()
    handler = streaming(lambda e, c: {"statusCode": 200, "body": b"x" * 70_000})
    threading.Timer(0.05, hold.set).start()
    assert call(handler, exchange).status == "end"
    assert len(gateway.requests) == 2


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "localhost:port", "localhost:99999"])
def test_an_address_that_cannot_be_dialled_is_named(gateway: Gateway, host: str) -> None:
    exchange = gateway.exchange(urls=(f"ws://{host}",))
    handler = streaming(lambda e, c: iter([b"x" * 70_000]))
    receipt = receipt_of(handler(event(exchange), context(exchange, seconds=20)))
    assert receipt.status == "end"
    assert receipt.dial is not None
    assert host in receipt.dial


def test_a_probe_of_an_address_that_cannot_be_dialled_says_so(gateway: Gateway) -> None:
    exchange = gateway.exchange(urls=("ws://localhost:99999",))
    exchange.envelope = replace(exchange.envelope, probe_ms=0)
    told = streaming(lambda e, c: "user code")(event(exchange), context(exchange))
    reports = parse_report(told, exchange.envelope)
    assert reports is not None
    ((step,),) = (report.steps for report in reports)
    assert (step.name, step.ok) == ("dns", False)
    assert "0-65535" in step.detail


def test_a_package_without_its_dependencies_answers_by_receipt(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lambda_client.pump", None)
    monkeypatch.setattr("lambda_client.session.pump_type", later.pump_type.__wrapped__)
    receipt = call(streaming(lambda e, c: iter([b"x" * 300_000])), gateway.exchange())
    assert (receipt.status, receipt.final) == ("end", 300_000)
    assert receipt.dial is not None
