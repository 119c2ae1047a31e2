"""Django in one file, as ASGI and as WSGI."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from lambda_client import asgi, wsgi
from tests.system.functions.web.gate import wait, wait_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from django.http import HttpRequest

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
django.setup()


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[bytes]:
        yield b"first\n"
        await wait_async(request.GET["gate"])
        yield b"second\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[bytes]:
        yield b"first\n"
        wait(request.GET["gate"])
        yield b"second\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


def upload(request: HttpRequest) -> JsonResponse:
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse({"name": file.name, "sha256": digest.hexdigest()})


def form(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(f"{request.method} {request.POST['word']}")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


urlpatterns = [
    path("django-asgi/stream", stream_async),
    path("django-wsgi/stream", stream),
    *(path(f"django-{kind}/upload", upload) for kind in ("asgi", "wsgi")),
    *(path(f"django-{kind}/form", form) for kind in ("asgi", "wsgi")),
]

asgi_handler = asgi(get_asgi_application())
wsgi_handler = wsgi(get_wsgi_application())
