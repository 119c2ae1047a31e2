"""Flask as it is used."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from flask import Flask, abort, jsonify, request, stream_with_context

from lambda_client import wsgi
from tests.system.functions.web.gate import wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Response

app = Flask(__name__)


@app.teardown_request
def teardown(error: BaseException | None) -> None:
    print(f"teardown of {request.path}")


@app.get("/flask/stream")
def stream() -> tuple[Iterator[str], dict[str, str]]:
    def lines() -> Iterator[str]:
        yield "first\n"
        wait(request.args["gate"])
        yield "second\n"

    return stream_with_context(lines()), {"content-type": "text/plain"}


@app.get("/flask/endless")
def endless() -> Iterator[str]:
    def forever() -> Iterator[str]:
        try:
            while True:
                yield "on and on\n" * 100
        finally:
            print("the generator was closed")

    return forever()


@app.post("/flask/upload")
def upload() -> Response:
    digest = hashlib.sha256()
    for chunk in iter(lambda: request.stream.read(65_536), b""):
        digest.update(chunk)
    return jsonify(sha256=digest.hexdigest())


@app.get("/flask/missing")
def missing() -> str:
    abort(404)


handler = wsgi(app)
