"""The Runtime API over raw sockets: what a runtime other than awslambdaric could do to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.invoke.local.limits import RESPONSE_MAX
from gateway.invoke.local.runtime_api import RuntimeApi
from tests.gateway.invoke.emulated import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n"


class Recorder:
    """A worker that only notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def next_requested(self) -> None:
        self.heard.append("next")

    def answered(self, request_id: bytes, body: bytes | None, *, failed: bool) -> bool:
        if request_id != b"id-1":
            return False
        self.heard.append(("error" if failed else "response", body))
        return True

    def init_failed(self, body: bytes) -> None:
        self.heard.append(("init", body))

    def next_lost(self) -> None:
        self.heard.append("next lost")

    def disconnected(self) -> None:
        self.heard.append("disconnected")


class Runtime:
    """The other end, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes) -> bytes:
        self.writer.write(request)
        return await self.answer()

    async def answer(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        return head.split(b"\r\n")[0][9:] + b" " + await self.reader.readexactly(int(length))


def post(path: str, body: bytes) -> bytes:
    head = f"POST /2018-06-01/runtime/{path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.fixture
def worker() -> Recorder:
    return Recorder()


@pytest.fixture
async def api(worker: Recorder) -> AsyncIterator[RuntimeApi]:
    api = RuntimeApi(worker)
    await api.start()
    yield api
    api.close()
    await until(lambda: not api.connected)


@pytest.fixture
async def runtime(api: RuntimeApi) -> AsyncIterator[Runtime]:
    host, _, port = api.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    yield Runtime(reader, writer)
    writer.close()


async def test_an_invocation_travels_there_and_back(
    api: RuntimeApi, worker: Recorder, runtime: Runtime
) -> None:
    for event in (b"{}", b"x" * 1_000_000):
        runtime.writer.write(NEXT)
        await until(lambda: worker.heard == ["next"])
        api.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(event), event)
        assert await runtime.answer() == b"200 OK " + event
        answer = await runtime.ask(post("invocation/id-1/response", b"done"))
        assert answer.startswith(b"202 Accepted")
        assert worker.heard == ["next", ("response", b"done")]
        worker.heard.clear()


async def test_errors_are_told_apart(worker: Recorder, runtime: Runtime) -> None:
    assert (await runtime.ask(post("init/error", b"1"))).startswith(b"202")
    assert (await runtime.ask(post("invocation/id-1/error", b"2"))).startswith(b"202")
    assert worker.heard == [("init", b"1"), ("error", b"2")]


async def test_an_outcome_of_another_invocation_is_refused(
    worker: Recorder, runtime: Runtime
) -> None:
    answer = await runtime.ask(post("invocation/id-2/response", b"late"))
    assert answer.startswith(b"400 Bad Request")
    assert b"InvalidRequestID" in answer
    assert worker.heard == []


async def test_a_response_over_the_limit_is_refused(worker: Recorder, runtime: Runtime) -> None:
    answer = await runtime.ask(post("invocation/id-1/response", b"x" * (RESPONSE_MAX + 1)))
    assert answer.startswith(b"413 ")
    assert b"RequestEntityTooLarge" in answer
    assert worker.heard == [("response", None)]


async def test_a_runtime_that_asks_before_it_sends(worker: Recorder, runtime: Runtime) -> None:
    head, _, body = post("invocation/id-1/response", b"done").partition(b"\r\n\r\n")
    runtime.writer.write(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert await runtime.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await runtime.ask(body)).startswith(b"202")
    assert worker.heard == [("response", b"done")]


@pytest.mark.parametrize("path", ["/", "/2018-06-01/runtime/else", "/2018-06-01/runtime/"])
async def test_an_unknown_path(runtime: Runtime, path: str) -> None:
    assert (await runtime.ask(f"GET {path} HTTP/1.1\r\n\r\n".encode())).startswith(b"404")


async def test_what_is_no_http_ends_the_connection(runtime: Runtime, worker: Recorder) -> None:
    runtime.writer.write(b"nonsense\r\n\r\n")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await runtime.answer()
    assert worker.heard == ["disconnected"]


async def test_a_runtime_that_hangs_up_while_it_waits(runtime: Runtime, worker: Recorder) -> None:
    runtime.writer.write(NEXT)
    await until(lambda: worker.heard == ["next"])
    runtime.writer.close()
    await until(lambda: worker.heard == ["next", "next lost", "disconnected"])
