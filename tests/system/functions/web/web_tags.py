"""Answers with a strong ETag, and who compares it with what the client holds: a framework, or a line of code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, make_response, request
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from lambda_client import asgi, wsgi

if TYPE_CHECKING:
    from flask import Response

TEXT = "All work and no play makes Jack a dull boy.\n" * 100

files = StaticFiles(directory=Path(__file__).parent)
starlette_handler = asgi(Starlette(routes=[Mount("/starlette", files)]))

app = Flask(__name__)


@app.get("/flask/text")
def text() -> Response:
    response = make_response(TEXT)
    response.add_etag()
    response.make_conditional(request)
    return response


flask_handler = wsgi(app)


def by_hand(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes a tag for the same only if it is written the same."""
    headers = {"content-type": "text/plain", "etag": '"1"'}
    if event["headers"].get("if-none-match") == '"1"':
        return {"statusCode": 304, "headers": headers}
    return {"statusCode": 200, "headers": headers, "body": TEXT}
