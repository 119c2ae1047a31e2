"""The same application twice, ASGI and WSGI: it does what the request's script says, or echoes.

What it echoes of the request leaves out what is known to differ; each omission says why.
"""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tests.differential.script import HEADER, Script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    Message = dict[str, Any]

# Whoever forwards says so: the gateway names client, scheme, port and trace as a Function URL does.
FORWARDED = ("x-forwarded-", "x-amzn-trace-id", "traceparent")

# The framing of a request ends at the gateway; the body's digest says what came through it.
FRAMING = {"content-length", "transfer-encoding", "connection", "expect"}


class ScriptedFailure(Exception):
    """What a script raises."""


def _echo(facts: dict[str, str], headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    joined: dict[str, str] = {}
    for name, value in headers:
        if name.startswith(FORWARDED) or name in FRAMING or name == HEADER:
            continue
        # Payload 2.0 joins what repeats by "," and cookies by "; ", waitress both by ", ".
        link = "; " if name == "cookie" else ","
        alike = _as_text(value).replace(", ", link)
        joined[name] = f"{joined[name]}{link}{alike}" if name in joined else alike
    digest = hashlib.sha256(body).hexdigest()
    said = {**facts, "headers": joined, "body": [len(body), digest]}
    return json.dumps(said, indent=1, sort_keys=True).encode()


def _as_text(value: str) -> str:
    """A value as JSON carries it in an event: UTF-8, or latin-1 where it is not."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


async def asgi_app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer as the script says."""
    headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    facts = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "version": scope["http_version"],
        "scheme": scope["scheme"],
    }
    script = Script.parse(dict(headers).get(HEADER, "{}"))
    pieces = script.pieces(_echo(facts, headers, body))
    if script.failure == "before":
        raise ScriptedFailure
    pairs = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in script.head(pieces)]
    await send({"type": "http.response.start", "status": script.status, "headers": pairs})
    if script.failure == "after head":
        raise ScriptedFailure
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces) and script.failure != "middle"
        await send({"type": "http.response.body", "body": piece, "more_body": not last})
    if script.failure == "middle":
        raise ScriptedFailure
    if not pieces:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as the script says."""
    headers = [
        (key.removeprefix("HTTP_").lower().replace("_", "-"), value)
        for key, value in environ.items()
        if key.startswith("HTTP_") or key == "CONTENT_TYPE"
    ]
    facts = {
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "script": environ["SCRIPT_NAME"],
        "query": environ["QUERY_STRING"],
        "protocol": environ["SERVER_PROTOCOL"],
        "scheme": environ["wsgi.url_scheme"],
    }
    body = environ["wsgi.input"].read()
    script = Script.parse(dict(headers).get(HEADER, "{}"))
    pieces = script.pieces(_echo(facts, headers, body))
    if script.failure == "before":
        raise ScriptedFailure
    phrase = HTTPStatus(script.status).phrase
    start_response(f"{script.status} {phrase}", script.head(pieces))
    if script.failure == "after head":
        raise ScriptedFailure
    return _yielded(pieces, fails=script.failure == "middle")


def _yielded(pieces: list[bytes], *, fails: bool) -> Iterator[bytes]:
    yield from pieces
    if fails:
        raise ScriptedFailure


def handlers() -> tuple[Any, Any]:
    """Both, as Lambda handlers."""
    from lambda_client import asgi, wsgi

    return asgi(asgi_app, lifespan="off"), wsgi(wsgi_app)


asgi_handler, wsgi_handler = handlers()
