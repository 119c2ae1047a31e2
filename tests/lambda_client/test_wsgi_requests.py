"""What `wsgi(app)` tells the application of the request, and what others think of both."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest
from typing_extensions import override

from lambda_client import StreamClosed, wsgi
from tests.lambda_client.asgi_apps import BODY, delivered, method
from tests.lambda_client.gateway import Gateway, context, receipt_of
from tests.lambda_client.wsgi_apps import TEXT, Pieces, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.lambda_client.conftest import Hurry

    Environ = dict[str, Any]
    Start = Callable[..., Callable[[bytes], None]]
    App = Callable[[Environ, Start], Iterable[bytes]]


# ---------------------------------------------------------------- the request


ENVIRONMENT = {
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
    assert {key: seen.get(key) for key in ENVIRONMENT} == ENVIRONMENT
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


def test_a_rest_that_is_asked_for_after_the_answer_fails_nothing(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = gateway.exchange(upload=b"first", upload_whole=False)

    class Refusal(Pieces):
        environ: Environ

        @override
        def close(self) -> None:
            self.environ["wsgi.input"].read()

    def app(environ: Environ, start_response: Start) -> Refusal:
        start_response("413 Too Large", TEXT)
        refusal = Refusal([b"too large"])
        refusal.environ = environ
        return refusal

    assert receipt_of(run(app, exchange)).status == "end"
    assert exchange.body == b"too large"
    assert "no request body: the response is over" in caplog.text


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
