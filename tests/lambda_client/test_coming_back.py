"""Coming back after a loss: when, how often, to whom; and what user code notices of it."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from lambda_client import chance, request_body, streaming
from lambda_client.running import running_session
from protocol.errors import CloseCode
from tests.lambda_client.gateway import Gateway, eventually
from tests.lambda_client.handlers import acquainted, call, warm
from tests.lambda_client.test_endings import CHUNK
from tests.lambda_client.test_resume import BODY, attaches, streamed, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lambda_client.conftest import Hurry


@pytest.mark.fault(1)
def test_dials_that_fail_are_repeated(gateway: Gateway) -> None:
    answers = iter([web.Response(status=502), web.Response(status=500), None, None])
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 201}
        yield BODY[:1000]
        eventually(lambda: exchange.chunks)
        gateway.refuse = lambda _: next(answers)
        gateway.cut()
        yield BODY[1000:]

    assert whole(exchange, call(handler, exchange))
    assert len(gateway.requests) == 4


def test_a_dial_that_is_refused_for_good_ends_the_exchange(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.refuse = lambda _: web.Response(status=401)
        gateway.cut()
        while True:
            yield CHUNK

    assert call(handler, exchange).status == "lost"
    assert len(gateway.requests) == 2


@pytest.mark.fault(47)
def test_an_address_that_refuses_the_token_leaves_the_direct_one(gateway: Gateway) -> None:
    with Gateway() as other:
        other.refuse = lambda _: web.Response(status=401)
        exchange = gateway.exchange(urls=(gateway.url, other.url))
        answers = iter([web.Response(status=502), web.Response(status=502)])

        @streaming
        def handler(event: Any, context: Any) -> Iterator[Any]:
            yield {"statusCode": 201}
            yield BODY[:1000]
            eventually(lambda: exchange.chunks)
            gateway.refuse = lambda _: next(answers, None)
            gateway.cut()
            yield BODY[1000:]

        assert whole(exchange, call(handler, exchange))
        assert (len(gateway.requests), len(other.requests)) == (4, 1)


def test_a_gateway_that_asks_to_wait_is_heeded(gateway: Gateway, hurry: Hurry) -> None:
    hurry(backoff_max=0.4)  # bounds what is heeded, too
    times: list[float] = []

    def later(_: web.BaseRequest) -> web.Response | None:
        times.append(time.monotonic())
        return web.Response(status=503, headers={"Retry-After": "60"}) if len(times) == 1 else None

    gateway.refuse = later
    exchange = gateway.exchange()
    assert whole(exchange, streamed(exchange, asynchronous=False))
    assert 0.4 <= times[1] - times[0] < 60.0


@pytest.mark.parametrize(
    ("code", "back"),
    [
        (CloseCode.GOING_AWAY, True),
        (CloseCode.INTERNAL, True),
        (CloseCode.DRAINING, True),
        (CloseCode.DEAD_PEER, True),
        (CloseCode.WRITE_STALL, True),
        (CloseCode.NORMAL, True),
        (CloseCode.PROTOCOL, True),
        (CloseCode.FRAME_TOO_LARGE, True),
        (CloseCode.UNAUTHENTICATED, False),
        (CloseCode.FORBIDDEN, False),
        (CloseCode.VERSION, False),
        (CloseCode.NO_ATTACH, False),
        (CloseCode.SUPERSEDED, False),
        (CloseCode.TOO_FAST, False),
    ],
)
@pytest.mark.fault(11, 48, 64)
def test_a_close_code_says_whether_to_come_back(
    gateway: Gateway, code: CloseCode, back: bool
) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.close(code)
        if back:
            yield CHUNK
        else:
            while True:
                yield CHUNK

    receipt = call(handler, exchange)
    assert receipt.status == ("end" if back else "lost")
    assert len(gateway.requests) == (2 if back else 1)


def test_the_first_dial_after_a_loss_does_not_wait(gateway: Gateway, hurry: Hurry) -> None:
    hurry(backoff_first=100.0, backoff_max=100.0)
    exchange = gateway.exchange()
    block = bytes(8_000_000)  # several windows, however wide: most of it is acknowledged at once

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        session = running_session()
        assert session is not None
        for count in range(1, 4):
            yield block
            acknowledged = count * len(block) - len(block) // 2
            eventually(lambda least=acknowledged: session.stream.progress > least)  # type: ignore[misc]
            gateway.cut()
        yield CHUNK

    assert call(handler, exchange).status == "end"
    assert len(gateway.requests) == 4


def test_a_gateway_that_accepts_and_drops_is_not_dialled_without_a_pause(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chance, "up_to", lambda most: most)  # no jitter: every pause is the longest
    exchange = gateway.exchange()
    times: list[float] = []
    gateway.refuse = lambda _: times.append(time.monotonic())

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        for dials in range(1, 6):
            eventually(lambda: len(attaches(exchange)) == dials)  # noqa: B023
            acquainted()
            gateway.cut()
        yield CHUNK

    assert call(handler, exchange).status == "end"
    pauses = [after - before for before, after in pairwise(times)]
    assert len(pauses) == 5
    # The first connection was of use, and so was the second if what came was acknowledged only there.
    for pause, least in zip(pauses[2:], (0.1, 0.2, 0.4), strict=True):
        assert pause >= least


def test_a_reconnect_is_one_line_of_the_log(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[Any]:
        yield {"statusCode": 201}
        yield BODY[:1000]
        eventually(lambda: exchange.chunks)
        gateway.cut()
        yield BODY[1000:]

    with caplog.at_level(logging.INFO, "dialback"):
        assert whole(exchange, call(handler, exchange))
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert re.search(r"goes on after \d+\.\d{3} s", record.message)
    assert "lost" in record.message
    assert exchange.envelope.token not in caplog.text


def test_after_a_resume_the_connection_is_parked(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.cut()
        yield CHUNK

    assert call(handler, exchange).status == "end"
    eventually(lambda: gateway.parked == 1)
    warm(gateway)
    assert len(gateway.requests) == 2


@pytest.mark.parametrize("act", ["write", "read"])
def test_who_waits_while_the_connection_is_lost_goes_on(
    gateway: Gateway, act: str, hurry: Hurry
) -> None:
    exchange = gateway.exchange(window=4096, upload=b"first", upload_whole=False)

    def come_back() -> None:
        gateway.refuse = lambda _: None
        exchange.upload, exchange.upload_whole = b"second", True

    def refuse(_: web.BaseRequest) -> web.Response:
        refusals.append(None)
        if len(refusals) == 2:
            come_back()
        return web.Response(status=502)

    refusals: list[None] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        body: Iterator[bytes] = iter(request_body(event))
        assert next(body) == b"first"
        yield CHUNK
        eventually(lambda: exchange.chunks)
        gateway.refuse = refuse
        gateway.cut()
        if act == "read":
            assert next(body) == b"second"
        else:
            yield bytes(100_000)

    assert call(handler, exchange).status == "end"
    assert len(refusals) == 2


def test_the_window_holds_the_writer_while_the_connection_is_lost(
    gateway: Gateway, hurry: Hurry
) -> None:
    gateway.limits = replace(gateway.limits, resume_grace_ms=60_000)
    exchange = gateway.exchange(window=64 * 1024, reading=False)
    written: list[int] = []

    def refuse(_: web.BaseRequest) -> web.Response | None:
        tries.append(len(written))
        return web.Response(status=502) if len(tries) < 4 else None

    tries: list[int] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield CHUNK
        eventually(lambda: exchange.chunks)
        exchange.reading = True
        gateway.refuse = refuse
        gateway.cut()
        for number in range(100):
            written.append(number)
            yield bytes(4096)

    assert call(handler, exchange).status == "end"
    assert max(tries) <= 64 * 1024 // 4096 + 1
