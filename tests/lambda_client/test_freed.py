"""What a finished exchange was made of is free at once: no collection of garbage, in no function."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import (
    ClientGone,
    StreamClosed,
    cancelled,
    check_cancelled,
    request_body,
    streamify_response,
    streaming,
    wsgi,
)
from lambda_client.running import running_session
from protocol.errors import ResetCode
from tests.lambda_client.gateway import Gateway, eventually
from tests.lambda_client.handlers import attached, call, warm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from lambda_client.pump import Pump
    from lambda_client.session import Session

    Watch = Callable[[], None]
    Handler = Callable[[Any, Any], Any]
    Items = Callable[[], Iterator[bytes]]


def generator(watch: Watch) -> Handler:
    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield b"one"
        watch()
        yield b"two"

    return handler


def async_generator(watch: Watch) -> Handler:
    @streaming
    async def handler(event: Any, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        watch()
        yield b"two"

    return handler


def upload(watch: Watch) -> Handler:
    @streamify_response
    def handler(event: Any, response_stream: Any, context: Any) -> None:
        response_stream.write(b"one")
        watch()
        response_stream.write(request_body(event).read())

    return handler


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("make", [generator, async_generator, upload])
@pytest.mark.parametrize("parked", [True, False], ids=["parked", "dialled"])
@pytest.mark.usefixtures("no_collector", "parting")
def test_an_exchange_is_free_once_it_is_over(
    gateway: Gateway, make: Callable[[Watch], Handler], parked: bool
) -> None:
    sessions: list[weakref.ref[Session]] = []
    pumps: list[weakref.ref[Pump]] = []

    def watch() -> None:
        attached(exchange)
        session = running_session()
        assert session is not None
        assert session._pump is not None
        sessions.append(weakref.ref(session))
        pumps.append(weakref.ref(session._pump))

    if parked:
        warm(gateway)
    exchange = gateway.exchange(upload=b"two" * 100_000 if make is upload else None)
    assert call(make(watch), exchange).status == "end"
    eventually(lambda: exchange.body[:6] == b"onetwo")
    eventually(lambda: sessions[0]() is None)  # the I/O thread may still be at its last job
    eventually(lambda: pumps[0]() is None)


@pytest.mark.usefixtures("no_collector")
def test_an_exchange_that_nobody_waits_for_is_free_once_it_is_over(gateway: Gateway) -> None:
    pumps: list[weakref.ref[Pump]] = []

    @streaming
    def handler(event: Any, context: Any) -> Iterator[bytes]:
        yield b"one"
        attached(exchange)
        session = running_session()
        assert session is not None
        assert session._pump is not None
        pumps.append(weakref.ref(session._pump))
        exchange.cancel()
        while True:
            yield b"more"

    exchange = gateway.exchange()
    call(handler, exchange)
    eventually(lambda: pumps[0]() is None)


def kept_in_a_variable(items: Items) -> Handler:
    @streamify_response
    def handler(event: Any, response_stream: Any, context: Any) -> None:
        kept = items()
        for item in kept:
            response_stream.write(item)

    return handler


def asked_for(items: Items) -> Handler:
    @streamify_response
    def handler(event: Any, response_stream: Any, context: Any) -> None:
        kept = items()
        for item in kept:
            if cancelled():
                check_cancelled()
            response_stream.write(item)

    return handler


def told_in_other_words(items: Items) -> Handler:
    @streamify_response
    def handler(event: Any, response_stream: Any, context: Any) -> None:
        kept = items()
        try:
            for item in kept:
                response_stream.write(item)
        except ClientGone as gone:
            raise StreamClosed("nobody listens") from gone

    return handler


def mapped(items: Items) -> Handler:
    return streaming(lambda event, context: {"statusCode": 200, "body": map(bytes.upper, items())})


def of_an_application(items: Items) -> Handler:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return map(bytes.upper, items())

    return wsgi(app)


@pytest.mark.fault(29)
@pytest.mark.parametrize(
    "make", [kept_in_a_variable, asked_for, told_in_other_words, mapped, of_an_application]
)
@pytest.mark.usefixtures("no_collector")
def test_a_generator_that_stopped_user_code_held_is_closed_before_the_function_freezes(
    gateway: Gateway, make: Callable[[Items], Handler]
) -> None:
    exchange = gateway.exchange()
    closed: list[bool] = []

    def items() -> Iterator[bytes]:
        try:
            yield b"one"
            eventually(lambda: exchange.chunks)
            exchange.cancel()
            eventually(cancelled)
            while True:
                yield b"more"
        finally:
            closed.append(True)

    assert call(make(items), exchange).code == ResetCode.CANCELLED
    assert closed
