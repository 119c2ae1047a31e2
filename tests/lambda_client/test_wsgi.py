"""What `wsgi(app)` makes of PEP 3333, with a gateway and without."""

from __future__ import annotations

import hashlib
import random
import sys
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest
from typing_extensions import override

from lambda_client import StreamClosed, wsgi
from protocol.errors import CancelCode, ResetCode
from protocol.frames import End, Head
from tests.lambda_client.gateway import Exchange, Gateway, context, event, eventually, receipt_of
from tests.lambda_client.test_asgi import BODY, delivered, method
from tests.lambda_client.test_streaming import warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.lambda_client.conftest import Hurry

    Environ = dict[str, Any]
    Start = Callable[..., Callable[[bytes], None]]
    App = Callable[[Environ, Start], Iterable[bytes]]

TEXT = [("Content-Type", "text/plain")]


def run(app: App, exchange: Exchange | None = None, **changes: Any) -> Any:
    return wsgi(app)(event(exchange, **changes), context(exchange))


class Pieces:
    """What an application returns, and whether it was closed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self.closed += 1


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


def test_a_500_for_head_has_no_body() -> None:
    answer = run(_never, requestContext={"http": {"method": "HEAD"}})
    assert (answer["statusCode"], answer["body"]) == (500, "")


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


# ---------------------------------------------------------------- the request


def test_the_environment() -> None:
    seen: Environ = {}

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", TEXT)
        return []

    headers = {
        "host": "example.org:8080",
        "x-forwarded-proto": "http",
        "content-type": "text/plain",
        "x-a": "é",
        "x_a": "forged",
        "cookie": "a=1",
    }
    http = {"method": "post", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"}
    run(
        app,
        rawPath="/prod/a%20b%C3%A9",
        rawQueryString="q=%20",
        headers=headers,
        requestContext={"http": http, "stage": "prod"},
        body="héllo",
    )
    assert seen["wsgi.input"].read() == "héllo".encode()
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/prod",
        "PATH_INFO": "/a b\xc3\xa9",
        "QUERY_STRING": "q=%20",
        "REQUEST_URI": "/prod/a%20b%C3%A9?q=%20",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.7",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "6",
        "HTTP_X_A": "\xc3\xa9",
        "HTTP_COOKIE": "a=1",
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
    }
    assert {key: seen.get(key) for key in expected} == expected
    assert seen["aws.event"]["rawPath"] == "/prod/a%20b%C3%A9"


def test_headers_that_repeat_are_joined() -> None:
    seen: Environ = {}

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", TEXT)
        return []

    several = {"X-A": ["1", "2"], "Cookie": ["a=1", "b=2"]}
    wsgi(app)({"httpMethod": "GET", "path": "/", "multiValueHeaders": several}, context())
    assert (seen["HTTP_X_A"], seen["HTTP_COOKIE"]) == ("1,2", "a=1; b=2")


@pytest.mark.parametrize("way", ["read", "sized", "lines", "iter"])
def test_a_streamed_body_is_a_file(gateway: Gateway, way: str) -> None:
    lines = [random.Random(n).randbytes(n).replace(b"\n", b"") + b"\n" for n in range(0, 3000, 7)]
    upload = b"".join(lines)
    exchange = gateway.exchange(upload=upload)

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        file = environ["wsgi.input"]
        if way == "read":
            pieces = [file.read()]
        elif way == "sized":
            pieces = list(iter(lambda: file.read(10_000), b""))
            assert {len(piece) for piece in pieces[:-1]} == {10_000}
        elif way == "lines":
            pieces = list(iter(file.readline, b""))
            assert pieces == lines
        else:
            pieces = list(file)
            assert pieces == lines
        start_response("200 OK", TEXT)
        return [hashlib.sha256(b"".join(pieces)).digest()]

    receipt = receipt_of(run(app, exchange))
    assert delivered(receipt, exchange) == hashlib.sha256(upload).digest()


def test_the_length_of_a_streamed_body_is_told_where_it_is_known(gateway: Gateway) -> None:
    seen: list[str | None] = []

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        seen.append(environ.get("CONTENT_LENGTH"))
        environ["wsgi.input"].read()
        start_response("200 OK", TEXT)
        return []

    run(app, gateway.exchange(upload=b"x", body_length=1))
    run(app, gateway.exchange(upload=b"x"))
    assert seen == ["1", None]


def test_down_and_up_at_the_same_time(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=BODY)

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield from iter(environ["wsgi.input"].read1, b"")

    run(app, exchange)
    assert exchange.body == BODY


def test_an_upload_that_breaks_off_is_never_a_short_body(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"first", upload_whole=False)
    read: list[bytes] = []

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        read.append(environ["wsgi.input"].read1())
        exchange.cancel()
        read.append(environ["wsgi.input"].read())
        return []

    assert receipt_of(run(app, exchange)).status == "reset"
    assert read == [b"first"]


def test_a_body_that_cannot_be_fetched_fails_the_invocation(gateway: Gateway, hurry: Hurry) -> None:
    hurry(patience=0.05)
    exchange = gateway.exchange(upload=b"x", urls=("ws://127.0.0.1:9",))

    def app(environ: Environ, start_response: Start) -> list[bytes]:
        environ["wsgi.input"].read()
        return []

    with pytest.raises(StreamClosed, match=r"ws://127\.0\.0\.1:9"):
        run(app, exchange)


# ---------------------------------------------------------------- as others see it


def test_the_standard_librarys_validator_finds_nothing(gateway: Gateway) -> None:
    exchange = gateway.exchange(upload=b"hello\nyou", body_length=9)

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        first = environ["wsgi.input"].readline()
        rest = environ["wsgi.input"].read(100)
        start_response("200 OK", TEXT)
        yield first
        yield rest

    checked: App = validator(app)  # type: ignore[arg-type] # ours takes any keyword
    receipt = receipt_of(run(checked, exchange, **method("POST", exchange)))
    assert delivered(receipt, exchange) == b"hello\nyou"


def test_without_a_gateway_it_answers_buffered() -> None:
    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [("Set-Cookie", "a=1"), ("Content-Type", "image/png")])
        yield b"\x89"
        yield b"PNG"

    assert run(app) == {
        "statusCode": 200,
        "headers": {"content-type": "image/png"},
        "cookies": ["a=1"],
        "body": "iVBORw==",
        "isBase64Encoded": True,
    }
