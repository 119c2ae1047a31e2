"""What `wsgi(app)` makes of PEP 3333, with a gateway and without."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from lambda_client.app_response import AppResponse
from protocol.errors import CancelCode, ResetCode
from protocol.frames import End, Head
from tests.lambda_client.asgi_apps import BODY, delivered, method
from tests.lambda_client.gateway import Gateway, eventually, receipt_of
from tests.lambda_client.handlers import warm
from tests.lambda_client.interrupting import InterruptionError, interrupted_at
from tests.lambda_client.wsgi_apps import TEXT, Pieces, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Environ = dict[str, Any]
    Start = Callable[..., Callable[[bytes], None]]
    App = Callable[[Environ, Start], Iterable[bytes]]


# ---------------------------------------------------------------- what the application says


def test_each_piece_leaves_before_the_next_is_made(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        headers = [("X-A", "1"), ("Set-Cookie", "a=1"), ("x-a", "2"), ("Set-Cookie", "b=2")]
        start_response("201 Made", headers)
        for number in range(5):
            yield b"chunk %d" % number
            eventually(lambda number=number: len(exchange.chunks) == number + 1)  # type: ignore[misc]

    receipt = receipt_of(run(app, exchange))
    assert (receipt.status, receipt.final, receipt.tail) == ("end", 35, None)
    assert exchange.head.status == 201
    assert exchange.head.headers == (
        (b"x-a", b"1"),
        (b"set-cookie", b"a=1"),
        (b"x-a", b"2"),
        (b"set-cookie", b"b=2"),
    )
    assert exchange.chunks == [b"chunk %d" % number for number in range(5)]


def test_pieces_of_a_small_sized_body_leave_at_once_too(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        yield b"1"
        eventually(lambda: exchange.body == b"1")
        yield b"2"

    assert receipt_of(run(app, exchange)).final == 2
    assert exchange.body == b"12"


def test_a_small_complete_answer_returns_with_the_receipt(gateway: Gateway) -> None:
    warm(gateway)
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "3")])
        yield b""
        yield b"all"

    assert receipt_of(run(app, exchange)).tail == (0, b"all")
    assert exchange.log == []


def test_a_list_is_all_there(gateway: Gateway) -> None:
    warm(gateway)
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        return [b"a", b"l", b"l", b"!"]

    assert receipt_of(run(app, exchange)).tail == (0, b"all!")
    assert exchange.log == []


def test_a_list_may_be_larger_than_any_window(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", TEXT)
        return [BODY[place : place + 10_000] for place in range(0, len(BODY), 10_000)]

    assert receipt_of(run(app, exchange)).final == len(BODY)
    assert exchange.body == BODY


def test_the_head_waits_for_the_first_piece_that_is_not_empty(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b""
        eventually(lambda: exchange.stream.bound is not None)
        try:
            raise KeyError
        except KeyError:
            start_response("503 Busy", TEXT, sys.exc_info())
        yield b"sorry"
        eventually(lambda: any(isinstance(frame, Head) for frame in exchange.log))

    run(app, exchange)
    assert (exchange.head.status, exchange.body) == (503, b"sorry")


def test_write_sends_at_once(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"written, ")
        eventually(lambda: exchange.body == b"written, ")
        return [b"returned"]

    assert receipt_of(run(app, exchange)).status == "end"
    assert exchange.body == b"written, returned"


def test_an_empty_body_is_an_answer() -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("302 Found", [("Location", "/x")])
        return []

    answer = run(app)
    assert (answer["statusCode"], answer["headers"], answer["body"]) == (
        302,
        {"location": "/x"},
        "",
    )


@pytest.mark.parametrize(("name", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_no_body_follows_where_http_allows_none(gateway: Gateway, name: str, status: int) -> None:
    exchange = gateway.exchange()
    pieces = Pieces(iter(lambda: b"endless", None))

    def app(environ: Environ, start_response: Start) -> Pieces:
        start_response(f"{status} X", [("Content-Length", "5"), ("ETag", '"1"')])
        return pieces

    receipt = receipt_of(run(app, exchange, **method(name, exchange)))
    assert receipt.head == (status, ((b"content-length", b"5"), (b"etag", b'"1"')))
    assert (receipt.final, pieces.closed) == (0, 1)


def test_values_keep_their_bytes(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [("X-A", "café"), ("X-B", "café".encode().decode("latin-1"))])
        yield b"x"
        eventually(lambda: exchange.body)

    run(app, exchange)
    values = {name: value for name, value in exchange.head.headers if name.startswith(b"x-")}
    assert values == {b"x-a": b"caf\xe9", b"x-b": "café".encode()}


# ---------------------------------------------------------------- what it does wrong


def test_an_exception_before_the_head_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", TEXT)
        raise KeyError("the application's own")

    answer = run(app)
    assert (answer["statusCode"], answer["body"]) == (500, "Internal Server Error")
    assert "the application's own" in caplog.text


def test_an_exception_after_the_head_breaks_the_response_visibly(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    def pieces() -> Iterator[bytes]:
        yield b"half"
        eventually(lambda: exchange.body == b"half")
        raise KeyError("the application's own")

    closing = Pieces(pieces())

    def app(environ: Environ, start_response: Start) -> Pieces:
        start_response("200 OK", TEXT)
        return closing

    with pytest.raises(KeyError, match="the application's own"):
        run(app, exchange)
    eventually(lambda: [reset.code for reset in exchange.resets] == [ResetCode.HANDLER_ERROR])
    assert not any(isinstance(frame, End) for frame in exchange.log)
    assert closing.closed == 1


def test_exc_info_after_the_head_is_raised(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"half"
        try:
            raise KeyError("the application's own")
        except KeyError:
            start_response("500 Oh", TEXT, sys.exc_info())

    with pytest.raises(KeyError, match="the application's own"):
        run(app, exchange)


def test_an_exception_in_close_is_logged_and_no_failure(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange()

    class Broken(Pieces):
        @override
        def close(self) -> None:
            raise KeyError("in close")

    def app(environ: Environ, start_response: Start) -> Broken:
        start_response("200 OK", TEXT)
        return Broken([b"whole"])

    receipt = receipt_of(run(app, exchange))
    assert receipt.status == "end"
    assert delivered(receipt, exchange) == b"whole"
    assert "in close" in caplog.text


def _twice(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return []


def _never(environ: Environ, start_response: Start) -> list[bytes]:
    return []


def _body_first(environ: Environ, start_response: Start) -> list[bytes]:
    return [b"x"]


def _bad_length(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "x")])
    return [b"x"]


def _bad_name(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", [("X Y", "x")])
    return [b"x"]


@pytest.mark.parametrize("app", [_twice, _never, _body_first, _bad_length, _bad_name])
def test_breaking_the_rules_is_a_500(app: App) -> None:
    assert run(app)["statusCode"] == 500


@pytest.mark.parametrize("piece", ["text", bytearray(b"x"), None, 1])
def test_what_is_no_bytes_is_named(piece: Any, caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", TEXT)
        return [piece]

    assert run(app)["statusCode"] == 500
    assert f"a WSGI application yields bytes, not {type(piece).__name__}" in caplog.text


def test_a_500_for_head_has_no_body() -> None:
    answer = run(_never, requestContext={"http": {"method": "HEAD"}})
    assert (answer["statusCode"], answer["body"]) == (500, "")


def test_a_first_write_that_is_broken_off_may_be_followed_by_another(gateway: Gateway) -> None:
    """As by a timeout's signal, which the application takes: whatever was done of giving the head by then."""
    point, where = 0, [""]
    while where:
        point += 1
        looking = interrupted_at(point, InterruptionError, AppResponse.start.__code__)

        def app(environ: Environ, start_response: Start) -> list[bytes]:
            nonlocal where
            write = start_response("200 OK", TEXT)
            with suppress(InterruptionError), looking as where:  # noqa: B023
                write(b"first, ")
            write(b"second")
            return []

        exchange = gateway.exchange()
        answer = delivered(receipt_of(run(app, exchange)), exchange)
        assert answer == (b"second" if where else b"first, second")
    assert point > 5


# ---------------------------------------------------------------- the client leaves


@pytest.mark.fault(29)
def test_a_generator_is_closed_when_the_client_leaves(gateway: Gateway) -> None:
    exchange = gateway.exchange()
    raised: list[type[BaseException]] = []

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"first"
        eventually(lambda: exchange.body == b"first")
        exchange.cancel()
        try:
            while True:
                yield b"more"
        except GeneratorExit as error:
            raised.append(type(error))
            raise

    receipt = receipt_of(run(app, exchange))
    assert (receipt.status, receipt.code) == ("reset", ResetCode.CANCELLED)
    assert raised == [GeneratorExit]


@pytest.mark.fault(29)
def test_write_raises_when_the_client_leaves(gateway: Gateway) -> None:
    exchange = gateway.exchange()

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"first")
        eventually(lambda: exchange.body == b"first")
        exchange.cancel(CancelCode.CLIENT_GONE)
        while True:
            write(b"more")

    assert receipt_of(run(app, exchange)).code == ResetCode.CANCELLED
