"""FastAPI and Starlette as they are used: nothing here knows of Lambda but the last lines."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    Form,
    HTTPException,
    Request,
    Response,
    UploadFile,
)
from fastapi.responses import StreamingResponse
from mangum import Mangum
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from lambda_client import asgi, streaming
from tests.system.functions.web.gate import wait_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

starts: list[int] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    starts.append(1)
    yield {"pool": "open"}


app = FastAPI(lifespan=lifespan)


async def resource() -> AsyncIterator[str]:
    try:
        yield "resource"
    finally:
        print("dependency closed")


@app.get("/fastapi/stream")
async def stream(gate: str) -> StreamingResponse:
    async def lines() -> AsyncIterator[bytes]:
        yield b"first\n"
        await wait_async(gate)
        yield b"second\n"

    return StreamingResponse(lines(), media_type="text/plain")


@app.get("/fastapi/endless")
async def endless() -> StreamingResponse:
    async def forever() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"on and on\n"
                await asyncio.sleep(0.01)
        finally:
            print("the stream was closed")

    return StreamingResponse(forever())


@app.post("/fastapi/raw")
async def raw(request: Request) -> dict[str, str | int]:
    digest, pieces = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        pieces += 1
    return {"sha256": digest.hexdigest(), "pieces": pieces}


@app.post("/fastapi/form")
async def form(file: UploadFile, word: Annotated[str, Form()]) -> dict[str, str | None]:
    digest = hashlib.sha256()
    while piece := await file.read(1 << 20):
        digest.update(piece)
    kind = file.content_type
    return {"name": file.filename, "type": kind, "sha256": digest.hexdigest(), "word": word}


@app.get("/fastapi/background")
async def background(gate: str, tasks: BackgroundTasks) -> dict[str, str]:
    async def later() -> None:
        await wait_async(gate)
        print("background task done")

    tasks.add_task(later)
    return {"answer": "at once"}


@app.get("/fastapi/sync/{number}")
def from_a_thread(number: int, held: Annotated[str, Depends(resource)]) -> dict[str, str | int]:
    return {"number": number, "held": held}


@app.get("/fastapi/teapot")
async def teapot() -> None:
    raise HTTPException(418, "short and stout", headers={"x-pot": "tea"})


@app.get("/fastapi/broken")
async def broken() -> None:
    raise KeyError("the route's own")


@app.get("/fastapi/cookies")
async def cookies(request: Request, response: Response) -> dict[str, str]:
    response.set_cookie("a", "1")
    response.set_cookie("b", "2", httponly=True)
    return request.cookies


@app.get("/fastapi/state")
async def state(request: Request) -> dict[str, str | int]:
    return {"pool": request.state.pool, "starts": len(starts)}


async def hello(request: Request) -> JSONResponse:
    return JSONResponse(
        {"path": request.url.path, "query": dict(request.query_params), "pad": "x" * 999}
    )


starlette_app = Starlette(
    routes=[
        Route(f"/{front}/hello", hello) for front in ("starlette", "mangum", "mangum-streaming")
    ],
    middleware=[Middleware(GZipMiddleware)],
)

handler = asgi(app)
starlette_handler = asgi(starlette_app)
mangum_handler = Mangum(starlette_app, lifespan="off")
mangum_streaming = streaming(mangum_handler)
